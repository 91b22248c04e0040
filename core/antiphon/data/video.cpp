#include <antiphon/data/video.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/base/shown.h>
#include <antiphon/data/piece.h>
#include <antiphon/media/decode.h>
#include <antiphon/model/sound_rate.h>

#include <algorithm>
#include <cmath>
#include <optional>

namespace antiphon::data {
namespace {

constexpr int64_t kPictures = 8;  // of a video whose frames go in as pictures, unless somebody says otherwise

// What is heard of a video: at which rate (0: nothing), and which channel (nothing: the mean of all).
struct Heard {
  int64_t rate = 0;
  std::optional<int64_t> channel;
  // For names of what is cut out of it, which is another sound then.
  std::string name() const { return rate > 0 && channel ? fmt::format(":channel {}", *channel) : ""; }
};

// How the model takes videos as items; nullptr: frames go in as pictures.
const VideoRule* rule_for(const MediaRef& ref, const model::MultimodalLm& model) {
  for (const auto& [name, stream] : model.streams())
    if (stream->video() && (ref.stream.empty() || ref.stream == name))
      return model.stream_for(Modality::video, ref.stream).video();
  return nullptr;
}

// One video on its way into a sample: its pieces, with the time at which each begins.
class Expansion {
 public:
  Expansion(const MediaRef& ref, std::string content) : ref_(ref), content_(std::move(content)) {}

  void add(media::VideoFrame frame) {
    push({Modality::image, std::move(frame.image), {}}, fmt::format("frame at {:.3f} s", frame.seconds));
  }
  void add(VideoPiece piece) {
    if (piece.frames.images.empty()) {
      items_.push_back({std::move(piece.text), std::nullopt});
      return;
    }
    const auto& numbers = piece.frames.numbers;
    const auto what = fmt::format("frames {} to {}", numbers.front(), numbers.back());
    MediaItem item{Modality::video, {}, {}};
    item.video = std::move(piece.frames);
    push(std::move(item), what, std::move(piece.text));
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
  std::vector<ExpandedVideo> take() { return std::move(items_); }

 private:
  void push(MediaItem item, const std::string& what, std::string text = {}) {
    MediaRef ref{item.modality,
                 ref_.bytes.name() + " (" + what + ")",
                 item.modality == Modality::video ? ref_.stream : std::string(),
                 std::make_shared<const MediaItem>(std::move(item)),
                 content_hash(content_ + what),
                 ref_.bytes.name()};
    items_.push_back({std::move(text), std::move(ref)});
  }
  const MediaRef& ref_;
  std::string content_;
  std::vector<ExpandedVideo> items_;
};

// Each piece, with the sound before it if both stand in the order of time, then the sound that is left. `begin`: when a
// piece begins; not above 0 for one that has no time.
template <class Pieces, class Begin>
std::vector<ExpandedVideo> laid_out(Expansion expansion, Pieces pieces, const std::optional<Audio>& audio,
                                    bool interleave, const Begin& begin) {
  double heard = 0;
  for (auto& piece : pieces) {
    if (const double seconds = begin(piece); interleave && audio && seconds > heard)
      expansion.add(*audio, heard, seconds), heard = seconds;
    expansion.add(std::move(piece));
  }
  if (audio) expansion.add(*audio, heard, audio->seconds());
  return expansion.take();
}

std::vector<ExpandedVideo> as_pictures(const MediaRef& ref, const std::string& bytes, const VideoSampling& sampling,
                                       const Heard& heard, const media::MediaLimits& limits) {
  const int64_t frames = sampling.frames > 0 ? sampling.frames : kPictures;
  auto video = media::decode_video(
      bytes, {sampling.frames_per_second > 0 ? 0 : frames, sampling.frames_per_second, heard.rate, heard.channel},
      limits);
  auto content = fmt::format("{}:{}:{}:{}{}", content_hash(bytes), frames, sampling.frames_per_second,
                             sampling.interleave, heard.name());
  return laid_out(Expansion(ref, std::move(content)), std::move(video.frames), video.audio, sampling.interleave,
                  [](const media::VideoFrame& frame) { return frame.seconds; });
}

std::vector<ExpandedVideo> as_items(const MediaRef& ref, const std::string& bytes, const VideoSampling& sampling,
                                    const Heard& heard, const media::MediaLimits& limits, const VideoRule& rule) {
  VideoShape shape;
  FrameChoice choice;
  media::VideoOptions options;
  options.sample_rate = heard.rate, options.channel = heard.channel;
  options.choose = [&](const VideoShape& found) {
    const bool by_time = sampling.frames_per_second > 0;
    shape = found, choice = rule.choose(found, {by_time ? 0 : sampling.frames, sampling.frames_per_second});
    return choice;
  };
  auto video = media::decode_video(bytes, options, limits);
  auto content = fmt::format("{}:{}x{}:{}:{}{}", content_hash(bytes), choice.height, choice.width,
                             fmt::join(choice.numbers, ","), sampling.interleave, heard.name());
  Frames frames{{}, std::move(choice.numbers), shape.frames, shape.per_second};
  for (auto& frame : video.frames) frames.images.push_back(std::move(frame.image));
  const bool within = sampling.interleave && rule.sound_chunk() > 0;
  auto items = laid_out(Expansion(ref, std::move(content)), rule.pieces(std::move(frames)), video.audio,
                        sampling.interleave && !within, [&](const VideoPiece& piece) {
                          const auto& numbers = piece.frames.numbers;
                          return numbers.empty() ? 0 : static_cast<double>(numbers.front()) / shape.per_second;
                        });
  if (within && items.size() == 2 && items[1].medium && items[1].medium->modality == Modality::audio)
    items[1].within = true;
  return items;
}

std::vector<ExpandedVideo> expand(const MediaRef& ref, const VideoSampling& sampling, std::optional<int64_t> channel,
                                  const model::MultimodalLm& model, const media::MediaLimits& limits) {
  const auto bytes = ref.bytes.read(limits.file_bytes);
  const Heard heard{sampling.sound ? model::sound_rate(model) : 0, channel_of(ref, channel)};
  const auto* rule = rule_for(ref, model);
  return rule ? as_items(ref, bytes, sampling, heard, limits, *rule) : as_pictures(ref, bytes, sampling, heard, limits);
}

bool is_file(const MediaRef& ref) { return ref.modality == Modality::video && !ref.item; }

}  // namespace

bool has_video(const Sample& sample) { return std::ranges::any_of(sample.media, is_file); }

Sample expand_videos(const Sample& sample, const VideoSampling& sampling, std::optional<int64_t> channel,
                     const model::MultimodalLm& model, const media::MediaLimits& limits, Expansions* known) {
  Sample out = sample;
  out.media.clear();
  Expansions own;
  auto& videos = known ? *known : own;
  const auto items_of = [&](const MediaRef& ref) {
    if (!is_file(ref)) return std::vector<ExpandedVideo>{{{}, ref}};
    const auto key = ref.stream + ":" + ref.bytes.key();
    if (!videos.contains(key))
      videos[key] = with_context("reading " + shown(ref.bytes.name()),
                                 [&] { return expand(ref, sampling, channel, model, limits); });
    return videos.at(key);
  };
  for (auto& turn : out.turns) {
    std::vector<ContentPart> parts;
    for (const auto& part : turn.parts) {
      if (part.media < 0) {
        parts.push_back(part);
        continue;
      }
      for (auto& [text, item, within] : items_of(sample.media.at(static_cast<size_t>(part.media)))) {
        if (!text.empty()) parts.push_back({std::move(text), -1, /*added=*/true});
        if (!item) continue;
        const auto index = static_cast<int64_t>(out.media.size());
        if (within)
          parts.back().sound = index;
        else
          parts.push_back({{}, index});
        out.media.push_back(std::move(*item));
      }
    }
    turn.parts = std::move(parts);
  }
  return out;
}

}  // namespace antiphon::data
