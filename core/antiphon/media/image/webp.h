// The chunks of a WebP file. Internal: included by the .cpp files of this folder only.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace antiphon::media {

// The first frame of an animation as a file of its own, and its place on the canvas; nothing for a still image.
// Error(data) if it is damaged or leaves the canvas.
struct WebpFrame {
  std::string file;
  int64_t x = 0, y = 0;
};
std::optional<WebpFrame> first_webp_frame(std::string_view bytes);

}  // namespace antiphon::media
