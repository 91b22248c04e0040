// Choices if there is more than one way from an image's pixels to 8-bit RGB.
#pragma once
#include <string>

namespace antiphon::media {

struct ImageReading {
  // "drop": colours of transparent pixels stay as stored, as Pillow's convert("RGB") and transformers' load_image have
  // it; "white": blended over white, as transformers' processors do with a Pillow image.
  std::string transparency = "drop";
  // Gray of 16 bits; "clip": values above 255 are white, as Pillow's convert("RGB") has it; "scale": the high byte.
  std::string gray16 = "clip";
  bool white() const { return transparency == "white"; }
};

}  // namespace antiphon::media
