#include "recording.h"

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

namespace antiphon::lhotse_cut {
namespace {

using records::Json;

double seconds_at(const Json& object, const char* key, bool positive) {
  const auto it = object.find(key);
  const double seconds = it != object.end() && it->is_number() ? it->get<double>() : std::nan("");
  if (std::isfinite(seconds) && seconds >= 0 && (seconds > 0 || !positive)) return seconds;
  fail(ErrorKind::data, fmt::format("'{}' of the cut is not a time", key), "give seconds, as Lhotse writes them");
}

void check_type(const Json& cut) {
  const auto type = cut.value("type", Json());
  if (type.is_null() || type == "MonoCut") return;
  fail(ErrorKind::data, fmt::format("the cut is of the type {}; only a MonoCut is read", shown(type.dump())),
       "write mixtures, and cuts of several channels, as recordings of their own: cuts.save_audios(…)");
}

bool is_filled(const Json& object, const char* key) {
  return records::is_there(object, key) && !(object.at(key).is_structured() && object.at(key).empty());
}

std::vector<int64_t> channels_in(const Json& object, const char* key) {
  std::vector<int64_t> channels;
  const auto list = object.find(key);
  if (list == object.end() || !list->is_array()) return channels;
  for (const auto& one : *list) {
    if (!one.is_number_integer())
      fail(ErrorKind::data, fmt::format("'{}' lists {}, which is not a channel", key, shown(one.dump())));
    channels.push_back(one.get<int64_t>());
  }
  return channels;
}

const Json& sources_of(const Json& cut) {
  const auto recording = cut.find("recording");
  if (recording == cut.end() || !recording->is_object())
    fail(ErrorKind::data, "the cut has no 'recording'; features alone are not read", "keep the recordings in the cuts");
  if (is_filled(*recording, "transforms"))
    fail(ErrorKind::data, "the recording has 'transforms', which are not computed",
         "write what they give as recordings of their own: cuts.save_audios(…)");
  const auto sources = recording->find("sources");
  if (sources == recording->end() || !sources->is_array() || sources->empty() ||
      !std::ranges::all_of(*sources, [](const Json& one) { return one.is_object(); }))
    fail(ErrorKind::data, "the recording of the cut has no list of 'sources'");
  return *sources;
}

// Where the cut's channel is.
struct Heard {
  const Json& source;
  std::optional<int64_t> channel;  // by its place among those of the source; nothing: the recording has one
};

Heard heard_in(const Json& cut) {
  const auto& sources = sources_of(cut);
  size_t count = channels_in(cut.at("recording"), "channel_ids").size(), of_sources = 0;
  for (const auto& one : sources) of_sources += std::max<size_t>(1, channels_in(one, "channels").size());
  count = std::max(count, of_sources);
  if (count == 1) return {sources.front(), std::nullopt};
  const auto channel = cut.value("channel", Json());
  if (!channel.is_number_integer())
    fail(ErrorKind::data,
         fmt::format("the recording has {} channels, and 'channel' of the cut is {}; expected the number of one", count,
                     shown(channel.dump())));
  for (const auto& one : sources) {
    const auto channels = channels_in(one, "channels");
    const auto found = std::ranges::find(channels, channel.get<int64_t>());
    if (found != channels.end()) return {one, found - channels.begin()};
  }
  fail(ErrorKind::data, fmt::format("the recording has {} channels, and none of its sources has channel {}, which the "
                                    "cut is of",
                                    count, channel.get<int64_t>()));
}

}  // namespace

int64_t add_recording(records::Record& record, const MediaFolder& folder) {
  const auto& cut = record.object;
  check_type(cut);
  const auto [source, channel] = heard_in(cut);
  const auto& type = records::text_of(source, "type", "the source of the recording");
  if (type != "file" && type != "shar")
    fail(ErrorKind::data,
         fmt::format("the recording is of the type '{}'; files and Shar archives are read", shown(type)),
         "write it to a file first: cuts.save_audios(…)");
  const auto& name = type == "file" ? records::text_of(source, "source", "the source of the recording")
                                    : records::text_of(cut, "id", "the cut");
  if (type == "shar" && !folder.own.contains(name))
    fail(ErrorKind::data, fmt::format("no archive holds the recording of the cut '{}'", shown(name)),
         "name them: source = \"json_lines\", source_options = { archives = \"recording.*.tar\" }");
  const auto index = record.media.add(record.sample, Modality::audio, name);
  auto& ref = record.sample.media.back();
  ref.begin = seconds_at(cut, "start", false), ref.seconds = seconds_at(cut, "duration", true);
  ref.channel = channel;
  return index;
}

}  // namespace antiphon::lhotse_cut
