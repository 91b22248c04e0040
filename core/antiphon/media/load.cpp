#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/base/shown.h>
#include <antiphon/media/decode.h>

namespace antiphon::media {
namespace {

template <class Decode>
auto load(const std::filesystem::path& path, const MediaLimits& limits, Decode&& decode) {
  const std::string bytes = read_file(path, ErrorKind::data, limits.file_bytes);
  return with_context(fmt::format("decoding {}", shown(path.string())), [&] { return decode(bytes); });
}

}  // namespace

Image load_image(const std::filesystem::path& path, const MediaLimits& limits, const ImageReading& reading) {
  return load(path, limits, [&](const std::string& bytes) { return decode_image(bytes, limits, reading); });
}

Audio load_audio(const std::filesystem::path& path, int64_t sample_rate, const MediaLimits& limits) {
  const std::string extension = path.extension().string();
  return load(path, limits,
              [&](const std::string& bytes) { return decode_audio(bytes, sample_rate, extension, limits); });
}

Video load_video(const std::filesystem::path& path, const VideoOptions& options, const MediaLimits& limits) {
  return load(path, limits, [&](const std::string& bytes) { return decode_video(bytes, options, limits); });
}

}  // namespace antiphon::media
