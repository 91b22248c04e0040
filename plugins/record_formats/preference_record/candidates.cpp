// "candidates": a list of our own.
#include <charconv>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/component/record/record_keys.h>

#include "answers.h"

namespace antiphon::preference_record {
namespace {

double value_of(const Json& candidate) {
  for (const char* key : {"score", "label"}) {
    if (!is_there(candidate, key)) continue;
    const auto& value = candidate.at(key);
    if (value.is_boolean()) return value.get<bool>() ? 1 : 0;
    if (value.is_number()) return value.get<double>();
    fail(ErrorKind::data, fmt::format("'{}' of a candidate is neither a number nor true or false", key));
  }
  return std::numeric_limits<double>::quiet_NaN();
}

// {"0": PATH}: the number of a medium of the prompt, and what stands in its place.
std::map<size_t, size_t> other_media(const Json& candidate, size_t prompt_media, Record& record) {
  std::map<size_t, size_t> media;
  if (!is_there(candidate, "media")) return media;
  if (!candidate.at("media").is_object())
    fail(ErrorKind::data, "'media' of a candidate is not an object {\"0\": PATH}");
  for (const auto& [key, path] : candidate.at("media").items()) {
    size_t place = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), place);
    if (error != std::errc() || end != key.data() + key.size() || place >= prompt_media || !path.is_string())
      fail(ErrorKind::data, fmt::format("'media' of a candidate names '{}'; expected the number of a medium of the "
                                        "prompt, from 0 to {}, and a path",
                                        key, static_cast<int64_t>(prompt_media) - 1));
    const auto& before = record.sample.media[place];
    media[place] =
        static_cast<size_t>(record.media.add(record.sample, before.modality, path.get<std::string>(), before.stream));
  }
  return media;
}

Candidate read_candidate(const Json& object, size_t prompt_media, Record& record) {
  if (!object.is_object()) fail(ErrorKind::data, "an element of 'candidates' is not an object");
  records::check_keys(object, {"content", "messages", "score", "label", "media"}, "candidates: ", record.sample.unread);
  const bool messages = is_there(object, "messages");
  if (messages == is_there(object, "content")) fail(ErrorKind::data, "a candidate has either 'content' or 'messages'");
  const auto turns =
      messages
          ? turns_of(object.at("messages"), "assistant", "messages", record)
          : std::vector{read_message({{"role", "assistant"}, {"content", object.at("content")}}, "candidates", record)};
  return {turns, other_media(object, prompt_media, record), value_of(object)};
}

}  // namespace

void read_candidates(Record& record) {
  const auto list = record.object.find("candidates");
  if (list == record.object.end() || !list->is_array() || list->empty())
    fail(ErrorKind::data, "'candidates' is not a list of answers");
  const size_t prompt_media = record.sample.media.size();
  for (const auto& candidate : *list)
    record.sample.candidates.push_back(read_candidate(candidate, prompt_media, record));
}

}  // namespace antiphon::preference_record
