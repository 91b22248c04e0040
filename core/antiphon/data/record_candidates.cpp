// Several answers to one prompt. Sources: TRL's preference format (docs/source/dataset_formats.md), and a list of our
// own for any number of answers, values and other media.
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/data/record.h>
#include <antiphon/data/record_keys.h>

#include <algorithm>
#include <charconv>

namespace antiphon::data {
namespace {

using nlohmann::json;

// A text, or a list of messages.
std::vector<SampleTurn> turns_of(const json& value, const char* role, const char* key, Record& record) {
  std::vector<SampleTurn> turns;
  if (value.is_string()) {
    add_text(value.get_ref<const std::string&>(), false, turns.emplace_back(SampleTurn{role, {}}), record);
  } else if (value.is_array()) {
    for (const auto& message : value) turns.push_back(read_message(message, record));
  } else {
    fail(ErrorKind::data, fmt::format("'{}' is neither a text nor a list of messages", key));
  }
  return turns;
}

double value_of(const json& candidate) {
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
std::map<size_t, size_t> other_media(const json& candidate, size_t prompt_media, Record& record) {
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
    media[place] = static_cast<size_t>(
        add_media(record.sample, before.modality, path.get<std::string>(), record.folder, before.stream));
  }
  return media;
}

Candidate read_candidate(const json& object, size_t prompt_media, Record& record) {
  if (!object.is_object()) fail(ErrorKind::data, "an element of 'candidates' is not an object");
  check_keys(object, {"content", "messages", "score", "label", "media"}, "candidates: ", record.sample.unread);
  const bool messages = is_there(object, "messages");
  if (messages == is_there(object, "content")) fail(ErrorKind::data, "a candidate has either 'content' or 'messages'");
  const auto turns =
      messages ? turns_of(object.at("messages"), "assistant", "messages", record)
               : std::vector{read_message({{"role", "assistant"}, {"content", object.at("content")}}, record)};
  return {turns, other_media(object, prompt_media, record), value_of(object)};
}

// chosen and rejected hold the prompt, too, if the record has none of its own.
void split_common_turns(const json& chosen, const json& rejected, Record& record) {
  if (!chosen.is_array() || !rejected.is_array())
    fail(ErrorKind::data, "'chosen' and 'rejected' are texts, and the object has no 'prompt'");
  size_t same = 0;
  while (same < chosen.size() && same < rejected.size() && chosen[same] == rejected[same]) ++same;
  if (same == chosen.size() || same == rejected.size())
    fail(ErrorKind::data, "'chosen' and 'rejected' do not differ in an answer");
  const auto part = [](const json& list, size_t begin, size_t end) {
    return json(json::array_t(list.begin() + static_cast<long>(begin), list.begin() + static_cast<long>(end)));
  };
  record.sample.turns = turns_of(part(chosen, 0, same), "user", "chosen", record);
  for (const auto* list : {&chosen, &rejected})
    record.sample.candidates.push_back({turns_of(part(*list, same, list->size()), "assistant", "chosen", record)});
}

// As what is said, not as objects, so that what differs in form only is the same.
bool say_the_same(const Candidate& a, const Candidate& b) {
  const auto text = [](const Candidate& candidate) {
    std::string text;
    for (const auto& turn : candidate.turns)
      for (const auto& part : turn.parts) text += part.text + "\n";
    return text;
  };
  return text(a) == text(b) && a.media.empty() && b.media.empty();
}

void check_candidates(const Sample& sample) {
  const auto& all = sample.candidates;
  for (const auto& candidate : all)
    if (candidate.turns.empty() || candidate.turns.back().role != "assistant")
      fail(ErrorKind::data, "a candidate does not end with what the assistant says");
  for (size_t i = 0; i < all.size(); ++i)
    for (size_t j = i + 1; j < all.size(); ++j)
      if (say_the_same(all[i], all[j])) fail(ErrorKind::data, "two candidates say the same with the same media");
  for (size_t i = 1; i < all.size(); ++i)
    if (all[i].value > all.front().value)
      fail(ErrorKind::data, "a candidate has a larger score than the first, which is taken to be the preferred one",
           "put the best answer first");
  if (!sample.turns.empty() && sample.turns.back().role == "assistant")
    fail(ErrorKind::data, "the turns before the candidates end with the assistant", "end them with a user's turn");
}

}  // namespace

bool is_pair(const json& object) { return is_there(object, "chosen") || is_there(object, "rejected"); }

void read_pair(Record& record) {
  const auto& object = record.object;
  if (!is_there(object, "chosen") || !is_there(object, "rejected"))
    fail(ErrorKind::data, "the object has only one of 'chosen' and 'rejected'");
  if (is_there(object, "messages") || is_there(object, "conversations"))
    fail(ErrorKind::data, "the object has 'chosen' and 'rejected' beside turns; the turns before them are 'prompt'");
  const auto &chosen = object.at("chosen"), &rejected = object.at("rejected");
  if (is_there(object, "candidates"))
    fail(ErrorKind::data, "the object has 'chosen' and 'rejected' beside 'candidates'");
  // As TRL: a prompt that is a text is what lists of messages begin with, too.
  const bool held =
      chosen.is_array() && rejected.is_array() && is_there(object, "prompt") && object.at("prompt").is_string();
  if (is_there(object, "prompt") && !held) {
    record.sample.turns = turns_of(object.at("prompt"), "user", "prompt", record);
    record.sample.candidates = {{turns_of(chosen, "assistant", "chosen", record)},
                                {turns_of(rejected, "assistant", "rejected", record)}};
  } else {
    split_common_turns(chosen, rejected, record);
  }
  record.media.place_unmarked(record.sample);
  check_candidates(record.sample);
}

void read_candidates(Record& record) {
  if (!is_there(record.object, "candidates")) return;
  const auto& list = record.object.at("candidates");
  if (!list.is_array() || list.empty()) fail(ErrorKind::data, "'candidates' is not a list of answers");
  const size_t prompt_media = record.sample.media.size();
  for (const auto& candidate : list)
    record.sample.candidates.push_back(read_candidate(candidate, prompt_media, record));
  check_candidates(record.sample);
}

}  // namespace antiphon::data
