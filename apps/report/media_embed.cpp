#include <report/media_embed.h>

#include <fmt/format.h>

#include <algorithm>

#include <antiphon/base/base64.h>
#include <antiphon/base/files.h>
#include <antiphon/base/strings.h>
#include <antiphon/media/audio/wav_file.h>
#include <antiphon/media/decode.h>
#include <antiphon/media/image/image_header.h>
#include <antiphon/media/image/resize.h>
#include <report/jpeg_file.h>

namespace antiphon::apps::report {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr uint64_t kPictureBytes = 32 << 10, kVideoBytes = 3 << 20, kFileBytes = 512ULL << 20;
constexpr int64_t kSide = 400, kSampleRate = 16000, kSeconds = 30;

struct Embedded {
  std::string type, mime, bytes, note;
};

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

std::string mime_of_video(const fs::path& path) {
  const auto extension = lower(path.extension().string());
  return extension == ".mp4" || extension == ".m4v" ? "video/mp4" : extension == ".webm" ? "video/webm" : "";
}

Image shrunk(Image image) {
  const int64_t side = std::max(image.width, image.height);
  if (side <= kSide) return image;
  const auto scaled = [&](int64_t edge) { return std::max<int64_t>(1, edge * kSide / side); };
  return media::resize(image, {scaled(image.height), scaled(image.width)}, media::Filter::lanczos);
}

Embedded picture(const std::string& bytes) {
  const auto header = media::read_image_header(bytes);
  if (bytes.size() <= kPictureBytes && std::max(header.width, header.height) <= 2 * kSide)
    return {"image", "image/" + lower(std::string(media::to_string(header.format))), bytes,
            fmt::format("{} × {}", header.width, header.height)};
  const auto image = media::decode_image(bytes);
  return {"image", "image/jpeg", jpeg_file(shrunk(image)), fmt::format("{} × {}", image.width, image.height)};
}

Embedded sound(const std::string& bytes, const fs::path& path) {
  auto audio = media::decode_audio(bytes, kSampleRate, path.extension().string());
  auto note = fmt::format("{:.1f} s", audio.seconds());
  if (audio.samples.size() > kSeconds * kSampleRate) {
    note = fmt::format("the first {} s of {}", kSeconds, human_duration(audio.seconds()));
    audio.samples.resize(kSeconds * kSampleRate);
  }
  return {"audio", "audio/wav", media::wav_file(audio), note};
}

Embedded video(const std::string& bytes, const fs::path& path) {
  const auto mime = mime_of_video(path);
  const auto size = human_bytes(static_cast<double>(bytes.size()));
  if (!mime.empty() && bytes.size() <= kVideoBytes) return {"video", mime, bytes, size};
  const auto decoded = media::decode_video(bytes, {.frames = 1});
  if (decoded.frames.empty()) fail(ErrorKind::data, "the video has no frame");
  const auto why = mime.empty() ? "its format does not play in browsers" : "too large to embed (" + size + ")";
  return {"image", "image/jpeg", jpeg_file(shrunk(decoded.frames.front().image)),
          fmt::format("one frame of a video of {:.1f} s; {}", decoded.seconds, why)};
}

std::string kind_of(const std::string& type, const fs::path& path) {
  if (type == "image" || type == "audio" || type == "video") return type;
  return !mime_of_video(path).empty() ? "video" : type;
}

Embedded embed(const std::string& type, const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) return {type, "", "", "the file is gone"};
  try {
    const auto bytes = read_file(path, ErrorKind::data, kFileBytes);
    if (type == "image") return picture(bytes);
    if (type == "audio") return sound(bytes, path);
    if (type == "video") return video(bytes, path);
    return {type, "", "", "media of this kind cannot be shown"};
  } catch (const Error& failed) {
    return {type, "", "", failed.message()};
  }
}

}  // namespace

json MediaEmbedder::add(const std::string& type, const fs::path& path) {
  const auto [place, fresh] = known_.try_emplace(path);
  if (!fresh) return place->second;
  auto found = embed(kind_of(type, path), path);
  json out{{"type", found.type}, {"name", path.filename().string()}, {"note", found.note}};
  if (!found.bytes.empty()) {
    auto address = "data:" + found.mime + ";base64," + to_base64(found.bytes);
    if (used_ + address.size() <= budget_) {
      used_ += address.size();
      out["asset"] = assets_.size();
      assets_.push_back(std::move(address));
    } else {
      out["note"] = fmt::format("left out: all media together may take {}", human_bytes(static_cast<double>(budget_)));
    }
  }
  return place->second = std::move(out);
}

}  // namespace antiphon::apps::report
