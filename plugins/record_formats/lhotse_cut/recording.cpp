#include "recording.h"

#include "mixture.h"

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>
#include <antiphon/component/record/record_keys.h>

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

constexpr const char* kSave = "write the mixture as a recording of its own: cut.save_audio(…)";

std::string type_in(const Json& object) {
  const auto type = object.value("type", Json());
  return type.is_null() ? "MonoCut" : type.is_string() ? type.get<std::string>() : type.dump();
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

// Where a channel of the cut is.
struct Heard {
  const Json& source;
  std::optional<int64_t> channel;  // by its place among those of the source; nothing: the recording has one
};

Heard heard_in(const Json& cut, const Json& channel) {
  const auto& sources = sources_of(cut);
  size_t count = channels_in(cut.at("recording"), "channel_ids").size(), of_sources = 0;
  for (const auto& one : sources) of_sources += std::max<size_t>(1, channels_in(one, "channels").size());
  count = std::max(count, of_sources);
  if (count == 1) return {sources.front(), std::nullopt};
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

MediaBytes bytes_of(const Json& cut, const Json& source, const records::Record& record, const MediaFolder& folder) {
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
  Sample found;
  record.media.add(found, Modality::audio, name);
  return found.media.front().bytes;
}

Channel channel_of(const Json& cut, const Json& channel, const records::Record& record, const MediaFolder& folder) {
  const auto [source, place] = heard_in(cut, channel);
  return {bytes_of(cut, source, record, folder), place};
}

// The only one, or a list.
std::vector<Json> channels_of(const Json& cut) {
  const auto channel = cut.value("channel", Json());
  if (type_in(cut) != "MultiCut" || !channel.is_array()) return std::vector<Json>(1, channel);
  if (channel.empty()) fail(ErrorKind::data, "the MultiCut names no 'channel'", "name one, or a list of them");
  return std::vector<Json>(channel.begin(), channel.end());
}

int64_t rate_of(const Json& cut) {
  if (type_in(cut) != "PaddingCut") sources_of(cut);  // there is a recording
  const auto& object = type_in(cut) == "PaddingCut" ? cut : cut.at("recording");
  const auto rate = object.value("sampling_rate", Json());
  if (!rate.is_number_integer())
    fail(ErrorKind::data, fmt::format("'sampling_rate' is {}; expected Hz, as Lhotse writes them", shown(rate.dump())));
  return rate.get<int64_t>();
}

Track track_of(const Json& cut, const records::Record& record, const MediaFolder& folder) {
  Track track;
  track.seconds = seconds_at(cut, "duration", true);
  if (type_in(cut) == "PaddingCut") return track;
  track.begin = seconds_at(cut, "start", false);
  for (const auto& channel : channels_of(cut)) track.channels.push_back(channel_of(cut, channel, record, folder));
  return track;
}

const Json& tracks_of(const Json& cut) {
  const auto tracks = cut.find("tracks");
  const bool is_list = tracks != cut.end() && tracks->is_array() && !tracks->empty();
  if (!is_list || !std::ranges::all_of(*tracks, [](const Json& one) {
        return one.is_object() && one.contains("cut") && one.at("cut").is_object();
      }))
    fail(ErrorKind::data, "the MixedCut has no list 'tracks' of objects with a 'cut'");
  if (constexpr size_t most = 256; tracks->size() > most)
    fail(ErrorKind::data, fmt::format("the MixedCut has {} tracks; at most {} are mixed", tracks->size(), most), kSave);
  for (const char* key : {"transforms", "snr_reference"})
    if (is_filled(cut, key))
      fail(ErrorKind::data, fmt::format("the MixedCut has '{}', which is not computed", key), kSave);
  return *tracks;
}

// The cut of a track, whose type may stand beside it.
Json cut_of(const Json& track) {
  auto cut = track.at("cut");
  if (track.contains("type")) cut["type"] = track.at("type");
  const auto type = type_in(cut);
  if (type != "MonoCut" && type != "MultiCut" && type != "PaddingCut")
    fail(ErrorKind::data,
         fmt::format("a track is of the type {}; expected MonoCut, MultiCut or PaddingCut", shown(type)), kSave);
  return cut;
}

bool is_set(const Json& track, const char* key) {
  if (!records::is_there(track, key)) return false;
  if (!track.at(key).is_boolean()) fail(ErrorKind::data, fmt::format("'{}' of a track is neither true nor false", key));
  return track.at(key).get<bool>();
}

// Muted tracks are heard if there are no others.
bool all_are_muted(const Json& tracks) {
  return std::ranges::all_of(tracks, [](const Json& track) { return is_set(track, "mute"); });
}

double offset_of(const Json& track) {
  return records::is_there(track, "offset") ? seconds_at(track, "offset", false) : 0;
}

std::optional<double> snr_of(const Json& track) {
  if (!records::is_there(track, "snr")) return std::nullopt;
  const auto& snr = track.at("snr");
  if (!snr.is_number() || !std::isfinite(snr.get<double>()))
    fail(ErrorKind::data, fmt::format("'snr' of a track is {}; expected decibels", shown(snr.dump())));
  return snr.get<double>();
}

// The track that says it is, else the first with a recording and without an "snr".
size_t reference_in(const Json& tracks) {
  const auto found = [&](auto is_one) {
    return static_cast<size_t>(std::ranges::find_if(tracks, is_one) - tracks.begin());
  };
  const auto said = found([](const Json& track) { return is_set(track, "is_snr_reference"); });
  if (said < tracks.size()) return said;
  const auto first = found([](const Json& track) { return type_in(cut_of(track)) != "PaddingCut" && !snr_of(track); });
  if (first < tracks.size()) return first;
  fail(ErrorKind::data, "all tracks of the MixedCut have an 'snr', and none says that it is the reference",
       "mark one with \"is_snr_reference\": true");
}

Mixture mixture_of(records::Record& record, const MediaFolder& folder) {
  const auto& cut = record.object;
  if (type_in(cut) == "MultiCut") return {rate_of(cut), {track_of(cut, record, folder)}};
  const auto& tracks = tracks_of(cut);
  const bool all_muted = all_are_muted(tracks);
  Mixture mixture{rate_of(cut_of(tracks.front())), {}, reference_in(tracks)};
  for (const auto& one : tracks) {
    const auto piece = cut_of(one);
    if (const auto rate = rate_of(piece); rate != mixture.sample_rate)
      fail(ErrorKind::data,
           fmt::format("the tracks have sampling rates of {} and {} Hz; expected one", mixture.sample_rate, rate),
           "write the recordings at one rate, or " + std::string(kSave));
    auto track = track_of(piece, record, folder);
    track.offset = offset_of(one), track.snr = snr_of(one), track.is_heard = all_muted || !is_set(one, "mute");
    mixture.tracks.push_back(std::move(track));
  }
  return mixture;
}

}  // namespace

bool is_lhotse_type(const Json& record) {
  const auto type = type_in(record);
  return (type == "MixedCut" && record.contains("tracks")) || type == "PaddingCut";
}

std::vector<HeardCut> heard_cuts(const Json& cut) {
  const auto type = type_in(cut);
  std::vector<HeardCut> heard;
  if (type == "MonoCut" || type == "MultiCut") {
    heard.push_back({cut, 0});
    return heard;
  }
  if (type == "PaddingCut")
    fail(ErrorKind::data, "the cut is a PaddingCut: silence, of which there is nothing to learn", "leave it out");
  if (type != "MixedCut")
    fail(ErrorKind::data,
         fmt::format("the cut is of the type {}; MonoCut, MultiCut and MixedCut are read", shown(type)), kSave);
  const auto& tracks = tracks_of(cut);
  const bool all_muted = all_are_muted(tracks);
  for (const auto& track : tracks)
    if (auto one = cut_of(track); type_in(one) != "PaddingCut" && (all_muted || !is_set(track, "mute")))
      heard.push_back({std::move(one), offset_of(track)});
  if (heard.empty())
    fail(ErrorKind::data, "all tracks of the MixedCut that are heard are silence: there is nothing to learn",
         "leave it out");
  return heard;
}

void check_track_keys(const Json& cut, const std::set<std::string>& known, std::set<std::string>& unread) {
  if (type_in(cut) != "MixedCut") return;
  auto in_cut = known;
  in_cut.insert({"id", "sampling_rate", "num_samples", "num_frames", "num_features", "frame_shift", "feat_value"});
  for (const auto& track : tracks_of(cut)) {
    records::check_keys(track, {"cut", "type", "offset", "snr", "tag", "is_snr_reference", "mute"}, "tracks: ", unread);
    records::check_keys(track.at("cut"), in_cut, "tracks: cut: ", unread);
  }
}

int64_t add_recording(records::Record& record, const MediaFolder& folder) {
  const auto& cut = record.object;
  MediaRef ref{Modality::audio, {}};
  if (type_in(cut) == "MixedCut" || channels_of(cut).size() > 1) {
    ref.bytes = mixed(mixture_of(record, folder), cut.value("id", Json()).is_string() ? cut.at("id") : "mixture");
  } else {
    auto one = channel_of(cut, channels_of(cut).front(), record, folder);
    ref.bytes = std::move(one.bytes), ref.channel = one.channel;
    ref.begin = seconds_at(cut, "start", false), ref.seconds = seconds_at(cut, "duration", true);
  }
  record.sample.media.push_back(std::move(ref));
  return static_cast<int64_t>(record.sample.media.size()) - 1;
}

}  // namespace antiphon::lhotse_cut
