// The supported part of a TIFF. Internal: included by the .cpp files of this folder only.
#pragma once
#include <string>
#include <string_view>

namespace antiphon::media {

// The file with only the tags that describe pixels in its first directory: FFmpeg treats any other tag as damage.
std::string plain_tiff(std::string_view bytes);

}  // namespace antiphon::media
