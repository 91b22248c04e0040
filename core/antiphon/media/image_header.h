// What a picture's own header says, read without decoding it.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace antiphon::media {

enum class ImageFormat { png, jpeg, webp, gif };
std::string_view to_string(ImageFormat format);

struct ImageHeader {
  ImageFormat format = ImageFormat::png;
  int64_t width = 0, height = 0;  // as stored
  int orientation = 1;            // of EXIF
};

// Sources: PNG (W3C, sections 5 and 11), JPEG (ITU T.81 annex B), WebP container (RFC 9649), GIF89a, Exif 2.3.
// Error(data) where the bytes are no picture of these formats or end before the size is told.
ImageHeader read_image_header(std::string_view bytes);

// The chunks of a PNG that carry pixels: whatever else may be packed into the others is never unpacked.
std::string png_pixel_chunks(std::string_view bytes);

// How often the marker FF `code` stands in the bytes.
int64_t count_jpeg_markers(std::string_view bytes, uint8_t code);

}  // namespace antiphon::media
