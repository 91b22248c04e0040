#include "recordings.h"

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/component/record/pieces.h>

namespace antiphon::nemo_manifest {
namespace {

using records::Json;

// The piece that the k-th of `count` values says.
int64_t add_piece(const std::string& path, const Json& object, size_t k, size_t count, records::Record& record) {
  const auto index = record.media.add(record.sample, Modality::audio, path);
  auto& ref = record.sample.media.back();
  ref.begin = records::seconds_in(records::value_at(object, "offset", k, count), "offset", 0);
  ref.seconds = records::seconds_in(records::value_at(object, "duration", k, count), "duration", ref.seconds);
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
    indexes.push_back(add_piece(paths[k].get<std::string>(), object, k, paths.size(), record));
  }
  return indexes;
}

int64_t recording_in(const Json& turn, records::Record& record) {
  return add_piece(records::text_of(turn, "value", "a turn of audio"), turn, 0, 1, record);
}

}  // namespace antiphon::nemo_manifest
