// What an image's header says, read without decoding the image.
#pragma once
#include <cstdint>
#include <string_view>

namespace antiphon::media {

enum class ImageFormat { png, jpeg, webp, gif, bmp, tiff };
std::string_view to_string(ImageFormat format);

struct ImageHeader {
  ImageFormat format = ImageFormat::png;
  int64_t width = 0, height = 0;  // as stored
  int orientation = 1;            // of EXIF or XMP
};

// Sources: PNG (W3C, sections 5 and 11), JPEG (ITU T.81 annex B), WebP container (RFC 9649), GIF89a, TIFF 6.0.
// Error(data) if the bytes are not an image of these formats or end before the size is known.
ImageHeader read_image_header(std::string_view bytes);

// One per format, for read_image_header.
ImageHeader read_png_header(std::string_view bytes);
ImageHeader read_jpeg_header(std::string_view bytes);
ImageHeader read_webp_header(std::string_view bytes);
ImageHeader read_tiff_header(std::string_view bytes);

// How often the marker FF `code` occurs in the bytes.
int64_t count_jpeg_markers(std::string_view bytes, uint8_t code);

}  // namespace antiphon::media
