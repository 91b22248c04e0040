// A picture as a PNG file. Source: PNG specification, third edition (W3C 2025), 5 (datastream structure) and 11.2.
#pragma once
#include <string>

#include <antiphon/component/media_item.h>

namespace antiphon::media {

// The bytes of a PNG file: 8-bit RGB, stored without compression, so that it is quickly made. The picture has at least
// one pixel.
std::string png_file(const Image& image);

}  // namespace antiphon::media
