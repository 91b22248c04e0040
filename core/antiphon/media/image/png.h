// The chunks of a PNG file. Internal: included by the .cpp files of this folder only.
#pragma once
#include <string>
#include <string_view>

namespace antiphon::media {

inline constexpr std::string_view kPngMark("\x89PNG\r\n\x1a\n", 8);

// The chunks that carry pixels: whatever is compressed in the others is never unpacked. Without `transparency` the tRNS
// chunk, which gives alpha to single colours, is left out too. Error(data) if the end is missing.
std::string png_pixel_chunks(std::string_view bytes, bool transparency);

}  // namespace antiphon::media
