#include "recording.h"

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>

#include <cmath>

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
       "write mixtures and several channels as recordings of their own: cuts.save_audios(…)");
}

bool is_filled(const Json& object, const char* key) {
  return records::is_there(object, key) && !(object.at(key).is_structured() && object.at(key).empty());
}

// A transform, or a choice among channels, that is computed when Lhotse loads the sound.
void check_plain(const Json& recording, const Json& source) {
  const auto count = [](const Json& object, const char* key) {
    return object.contains(key) && object.at(key).is_array() ? object.at(key).size() : 1;
  };
  if (is_filled(recording, "transforms"))
    fail(ErrorKind::data, "the recording has 'transforms', which are not computed",
         "write what they give as recordings of their own: cuts.save_audios(…)");
  if (count(recording, "channel_ids") != 1 || count(source, "channels") != 1)
    fail(ErrorKind::data, "the recording has several channels, of which the cut would be one",
         "write the channel as a recording of its own: cuts.save_audios(…)");
}

const Json& source_of(const Json& cut) {
  const auto recording = cut.find("recording");
  if (recording == cut.end() || !recording->is_object())
    fail(ErrorKind::data, "the cut has no 'recording'; features alone are not read", "keep the recordings in the cuts");
  const auto sources = recording->find("sources");
  if (sources == recording->end() || !sources->is_array() || sources->size() != 1 || !sources->front().is_object())
    fail(ErrorKind::data, "the recording of the cut has not one source");
  check_plain(*recording, sources->front());
  return sources->front();
}

}  // namespace

int64_t add_recording(records::Record& record, const MediaFolder& folder) {
  const auto& cut = record.object;
  check_type(cut);
  const auto& source = source_of(cut);
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
  return index;
}

}  // namespace antiphon::lhotse_cut
