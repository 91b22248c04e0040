// Pictures and sound as files that every browser shows.
#pragma once
#include <string>

#include <antiphon/component/media_item.h>

namespace antiphon::apps::report {

// A JPEG (4:4:4, full range). Error(data) where FFmpeg cannot make one, Error(config) in builds without it.
std::string jpeg_file(const Image& image);

// 16-bit PCM, mono, at the sound's own rate.
std::string wav_file(const Audio& audio);

std::string base64(std::string_view bytes);

}  // namespace antiphon::apps::report
