// What is taken of a TIFF. Internal: included by the .cpp files of this folder only.
#pragma once
#include <string>
#include <string_view>

namespace antiphon::media {

// The file with nothing in its first directory but what describes pixels: FFmpeg takes any other tag for damage.
std::string plain_tiff(std::string_view bytes);

}  // namespace antiphon::media
