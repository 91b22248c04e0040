#include <antiphon/data/video.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/base/shown.h>
#include <antiphon/media/decode.h>

#include <algorithm>
#include <cmath>

namespace antiphon::data {
namespace {

// The rate that the model's sound stream wants; 0 if it has none.
int64_t sound_rate(const model::MultimodalLm& model) {
  for (const auto& [name, stream] : model.streams())
    if (stream->modality() == Modality::audio) return model.stream_for(Modality::audio).sample_rate();
  return 0;
}

// One video on its way into a sample.
class Expansion {
 public:
  Expansion(const MediaRef& ref, const std::string& bytes, const VideoSampling& sampling)
      : ref_(ref),
        content_(fmt::format("{}:{}:{}:{}", content_hash(bytes), sampling.frames, sampling.frames_per_second,
                             sampling.interleave)) {}

  void add(media::VideoFrame frame) {
    push({Modality::image, std::move(frame.image), {}}, fmt::format("frame at {:.3f} s", frame.seconds));
  }
  // From `begin` to `end` in seconds; nothing if there is no sample.
  void add(const Audio& audio, double begin, double end) {
    const auto at = [&](double seconds) {
      const auto sample = std::llround(std::min(seconds, audio.seconds()) * static_cast<double>(audio.sample_rate));
      return audio.samples.begin() + std::min<int64_t>(sample, static_cast<int64_t>(audio.samples.size()));
    };
    if (at(begin) == at(end)) return;
    push({Modality::audio, {}, {audio.sample_rate, {at(begin), at(end)}}},
         fmt::format("sound from {:.3f} s to {:.3f} s", begin, end));
  }
  std::vector<MediaRef> take() { return std::move(items_); }

 private:
  void push(MediaItem item, const std::string& what) {
    items_.push_back({item.modality,
                      ref_.bytes.name() + " (" + what + ")",
                      {},
                      std::make_shared<const MediaItem>(std::move(item)),
                      content_hash(content_ + what),
                      ref_.bytes.name()});
  }
  const MediaRef& ref_;
  std::string content_;
  std::vector<MediaRef> items_;
};

std::vector<MediaRef> expand(const MediaRef& ref, const VideoSampling& sampling, int64_t sample_rate,
                             const media::MediaLimits& limits) {
  const auto bytes = ref.bytes.read(limits.file_bytes);
  auto video = media::decode_video(bytes,
                                   {sampling.frames_per_second > 0 ? 0 : sampling.frames, sampling.frames_per_second,
                                    sampling.sound ? sample_rate : 0},
                                   limits);
  Expansion expansion(ref, bytes, sampling);
  double heard = 0;
  for (auto& frame : video.frames) {
    const double seconds = frame.seconds;
    if (sampling.interleave && video.audio)
      expansion.add(*video.audio, heard, seconds), heard = std::max(heard, seconds);
    expansion.add(std::move(frame));
  }
  if (video.audio) expansion.add(*video.audio, heard, video.audio->seconds());
  return expansion.take();
}

}  // namespace

bool has_video(const Sample& sample) {
  return std::ranges::any_of(sample.media, [](const auto& ref) { return ref.modality == Modality::video; });
}

Sample expand_videos(const Sample& sample, const VideoSampling& sampling, const model::MultimodalLm& model,
                     const media::MediaLimits& limits, Expansions* known) {
  Sample out = sample;
  out.media.clear();
  Expansions own;
  auto& videos = known ? *known : own;
  const int64_t rate = sound_rate(model);
  const auto items_of = [&](const MediaRef& ref) {
    if (ref.modality != Modality::video) return std::vector{ref};
    const auto key = ref.bytes.key();
    if (!videos.contains(key))
      videos[key] =
          with_context("reading " + shown(ref.bytes.name()), [&] { return expand(ref, sampling, rate, limits); });
    return videos.at(key);
  };
  for (auto& turn : out.turns) {
    std::vector<ContentPart> parts;
    for (const auto& part : turn.parts) {
      if (part.media < 0) {
        parts.push_back(part);
        continue;
      }
      for (auto& item : items_of(sample.media.at(static_cast<size_t>(part.media)))) {
        parts.push_back({{}, static_cast<int64_t>(out.media.size())});
        out.media.push_back(std::move(item));
      }
    }
    turn.parts = std::move(parts);
  }
  return out;
}

}  // namespace antiphon::data
