#include "recordings.h"

#include <fmt/format.h>

#include <antiphon/base/error.h>

#include <cmath>

namespace antiphon::nemo_manifest {
namespace {

using records::Json;

// Seconds, or `otherwise` if there is no value; null is none, for NeMo writes it so.
double seconds_in(const Json& value, const char* key, double otherwise) {
  if (value.is_null()) return otherwise;
  const double seconds = value.is_number() ? value.get<double>() : std::nan("");
  if (std::isfinite(seconds) && seconds >= 0) return seconds;
  fail(ErrorKind::data, fmt::format("'{}' is not a time", key), "give seconds, as a number of 0 or more");
}

// The k-th of `count` values, or the one that holds for all.
Json value_at(const Json& object, const char* key, size_t k, size_t count) {
  const auto it = object.find(key);
  if (it == object.end()) return nullptr;
  if (!it->is_array()) return *it;
  if (it->size() != count)
    fail(ErrorKind::data, fmt::format("'{}' lists {} times for {} recordings", key, it->size(), count));
  return (*it)[k];
}

int64_t add_piece(const std::string& path, const Json& begin, const Json& length, records::Record& record) {
  const auto index = record.media.add(record.sample, Modality::audio, path);
  auto& ref = record.sample.media.back();
  ref.begin = seconds_in(begin, "offset", 0);
  ref.seconds = seconds_in(length, "duration", ref.seconds);
  return index;
}

}  // namespace

std::vector<int64_t> recordings_of(records::Record& record) {
  const auto& object = record.object;
  const auto it = object.find("audio_filepath");
  if (it == object.end()) fail(ErrorKind::data, "the record has no 'audio_filepath'");
  const auto paths = it->is_array() ? *it : Json::array({*it});
  if (paths.empty()) fail(ErrorKind::data, "'audio_filepath' lists nothing");
  std::vector<int64_t> indexes;
  for (size_t k = 0; k < paths.size(); ++k) {
    if (!paths[k].is_string()) fail(ErrorKind::data, "'audio_filepath' is neither a path nor a list of paths");
    indexes.push_back(add_piece(paths[k].get<std::string>(), value_at(object, "offset", k, paths.size()),
                                value_at(object, "duration", k, paths.size()), record));
  }
  return indexes;
}

int64_t recording_in(const Json& turn, records::Record& record) {
  return add_piece(records::text_of(turn, "value", "a turn of audio"), value_at(turn, "offset", 0, 1),
                   value_at(turn, "duration", 0, 1), record);
}

}  // namespace antiphon::nemo_manifest
