// "chosen" and "rejected", as TRL has them.
#include <fmt/format.h>

#include <antiphon/base/error.h>

#include "answers.h"

namespace antiphon::preference_record {
namespace {

// chosen and rejected hold the prompt, too, if the record has none of its own.
void split_common_turns(const Json& chosen, const Json& rejected, Record& record) {
  if (!chosen.is_array() || !rejected.is_array())
    fail(ErrorKind::data, "the object has no 'prompt'; expected one, or lists of messages that both begin with it",
         "add 'prompt', or write 'chosen' and 'rejected' as whole conversations");
  const auto is_same = [](const Json& a, const Json& b) { return nlohmann::json(a) == nlohmann::json(b); };
  size_t same = 0;
  while (same < chosen.size() && same < rejected.size() && is_same(chosen[same], rejected[same])) ++same;
  if (same == chosen.size() || same == rejected.size())
    fail(ErrorKind::data, "'chosen' and 'rejected' do not differ in an answer");
  const auto part = [](const Json& list, size_t begin, size_t end) {
    return Json(Json::array_t(list.begin() + static_cast<long>(begin), list.begin() + static_cast<long>(end)));
  };
  record.sample.turns = turns_of(part(chosen, 0, same), "user", "chosen", record);
  record.sample.candidates = {{turns_of(part(chosen, same, chosen.size()), "assistant", "chosen", record)},
                              {turns_of(part(rejected, same, rejected.size()), "assistant", "rejected", record)}};
}

bool is_answer(const Json& record, const char* key) {
  const auto it = record.find(key);
  return it != record.end() && (it->is_string() || it->is_structured());
}

}  // namespace

// A text, or a list of messages.
std::vector<SampleTurn> turns_of(const Json& value, const char* role, const char* key, Record& record) {
  std::vector<SampleTurn> turns;
  if (value.is_string()) {
    add_text(value.get_ref<const std::string&>(), false, turns.emplace_back(SampleTurn{role, {}}), record);
  } else if (value.is_array()) {
    turns = read_message_list(value, key, record);
  } else {
    fail(ErrorKind::data, fmt::format("'{}' is neither a text nor a list of messages", key));
  }
  return turns;
}

bool is_pair(const Json& record) { return is_answer(record, "chosen") || is_answer(record, "rejected"); }

void read_pair(Record& record) {
  const auto& object = record.object;
  if (!is_answer(object, "chosen") || !is_answer(object, "rejected"))
    fail(ErrorKind::data, "the object has only one of 'chosen' and 'rejected'");
  if (records::has_answers(object)) fail(ErrorKind::data, "the object has 'chosen' and 'rejected' beside 'candidates'");
  const auto &chosen = object.at("chosen"), &rejected = object.at("rejected");
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
}

}  // namespace antiphon::preference_record
