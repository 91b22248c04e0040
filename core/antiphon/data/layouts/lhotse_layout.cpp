#include <antiphon/data/layouts/lhotse_layout.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>
#include <antiphon/data/layouts/layout_parts.h>
#include <antiphon/media/decode.h>

#include <cmath>
#include <map>
#include <numeric>

namespace antiphon::data {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kName = "lhotse_cut";

// Of recordings that were looked at last: many cuts are of one.
class Shapes {
 public:
  const media::AudioShape& of(const MediaBytes& bytes) {
    const auto key = bytes.key();
    if (const auto found = kept_.find(key); found != kept_.end()) return found->second;
    constexpr size_t kMost = 4096;
    if (kept_.size() >= kMost) kept_.clear();
    const auto limits = media::MediaLimits{};
    return kept_[key] = media::audio_shape(bytes.read(limits.file_bytes), bytes.extension(), limits);
  }

 private:
  std::map<std::string, media::AudioShape> kept_;
};

double seconds_of(const media::AudioShape& shape) {
  return static_cast<double>(shape.samples) / static_cast<double>(shape.sample_rate);
}

// A cut has a duration, and is of one channel.
void complete(Sample& sample, Shapes& shapes) {
  for (auto& ref : sample.media) {
    if (ref.modality != Modality::audio || std::isfinite(ref.seconds)) continue;
    ref.seconds = seconds_of(shapes.of(ref.bytes)) - ref.begin;
    if (ref.seconds <= 0)
      fail(ErrorKind::data, fmt::format("the piece of '{}' begins behind its end", shown(ref.bytes.name())));
  }
}

Json recording_of(const std::string& id, const std::string& name, const media::AudioShape& shape) {
  std::vector<int64_t> channels(static_cast<size_t>(shape.channels));
  std::iota(channels.begin(), channels.end(), 0);
  return {{"id", id},
          {"sources", Json::array({{{"type", "file"}, {"channels", channels}, {"source", name}}})},
          {"sampling_rate", shape.sample_rate},
          {"num_samples", shape.samples},
          {"duration", seconds_of(shape)},
          {"channel_ids", channels}};
}

Json write(const Sample& sample, const Target& target, Shapes& shapes) {
  check_plain(kName, sample);
  const auto asked = spoken_question(sample);
  if (!asked) refuse(kName, "anything but a recording, a question behind it, and its answer");
  const auto& found = *asked;
  if (found.recordings.size() > 1) refuse(kName, "several recordings in one sample");
  const auto& ref = sample.media.at(found.recordings.front());
  const auto& shape = shapes.of(ref.bytes);
  if (!ref.channel && shape.channels > 1) refuse(kName, "the mean of the channels of a recording");
  const auto channel = ref.channel.value_or(0);
  const auto id = sample.id + "-recording";
  Json custom{{"context", found.question}};
  for (const auto& [key, value] : sample.tags) custom[key] = value;
  return {{"id", sample.id},
          {"start", ref.begin},
          {"duration", ref.seconds},
          {"channel", channel},
          {"supervisions", Json::array({{{"id", sample.id},
                                         {"recording_id", id},
                                         {"start", 0.0},
                                         {"duration", ref.seconds},
                                         {"channel", channel},
                                         {"text", found.answer}}})},
          {"recording", recording_of(id, target.name_of(found.recordings.front()), shape)},
          {"custom", custom},
          {"type", "MonoCut"}};
}

}  // namespace

Layout lhotse_layout() {
  const auto shapes = std::make_shared<Shapes>();
  return {kName, [shapes](const auto& sample, const auto& target) { return write(sample, target, *shapes); },
          [shapes](auto& sample) { complete(sample, *shapes); }, true};
}

}  // namespace antiphon::data
