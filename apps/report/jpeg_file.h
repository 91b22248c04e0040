// An image as a file that every browser shows.
#pragma once
#include <string>

#include <antiphon/component/media_item.h>

namespace antiphon::apps::report {

// A JPEG (4:4:4, full range). Error(data) if FFmpeg cannot make one, Error(config) in builds without it.
std::string jpeg_file(const Image& image);

}  // namespace antiphon::apps::report
