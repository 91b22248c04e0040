// What records and their turns have, and what they must have.
#include <antiphon/component/record/turns.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>

#include <algorithm>

namespace antiphon::records {

bool has_list(const Json& object, const std::string& key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_array();
}

const Json& list_at(const Json& object, const std::string& key) {
  if (!has_list(object, key)) fail(ErrorKind::data, fmt::format("the object has no list '{}'", key));
  return object.at(key);
}

bool is_there(const Json& object, const std::string& key) {
  const auto it = object.find(key);
  return it != object.end() && !it->is_null();
}

bool has_answers(const Json& record) {
  return has_list(record, "candidates") && !record.at("candidates").empty() &&
         std::ranges::all_of(record.at("candidates"), [](const auto& one) { return one.is_object(); });
}

bool has_turns(const Json& record, const std::string& key, const std::string& role, const std::string& assistant) {
  if (!has_list(record, key)) return false;
  const auto& list = record.at(key);
  return !has_answers(record) || list.empty() || !list.back().is_object() ||
         list.back().value(role, Json()) == assistant;
}

bool has_typed_turns(const Json& record) {
  const auto is_typed = [](const Json& turn) {
    const bool named = turn.is_object() && is_there(turn, "value") && is_there(turn, "from");
    if (!named || (turn.at("from") != "User" && turn.at("from") != "Assistant" && turn.at("from") != "user" &&
                   turn.at("from") != "assistant"))
      return false;
    const auto type = turn.value("type", Json());
    return type == "text" || (type.is_string() && modality_of(type.get_ref<const std::string&>()));
  };
  return has_list(record, "conversations") && std::ranges::any_of(record.at("conversations"), is_typed);
}

const std::string& text_of(const Json& object, const char* key, std::string_view what) {
  const auto it = object.find(key);
  if (it == object.end() || !it->is_string())
    fail(ErrorKind::data, fmt::format("{} has {} '{}'; expected a string", what,
                                      it == object.end() ? "no key" : "a key of another type", key));
  return it->get_ref<const std::string&>();
}

std::set<std::string> keys_beside_turns() {
  return {"system", "image", "images", "audio", "audios", "video", "videos"};
}

std::set<std::string> answer_keys() { return {"prompt", "chosen", "rejected", "candidates"}; }

void check_roles(const std::vector<SampleTurn>& turns) {
  if (turns.empty()) fail(ErrorKind::data, "the conversation is empty");
  if (turns.size() == 1 && turns.front().role == "document") return;
  for (const auto& turn : turns) {
    if (turn.role != "system" && turn.role != "user" && turn.role != "assistant" && turn.role != "tool")
      fail(ErrorKind::data,
           fmt::format("role '{}' is unknown; expected system, user, assistant or tool", shown(turn.role)));
    if (turn.role != "assistant" && !turn.reasoning.empty())
      fail(ErrorKind::data, fmt::format("a {} turn has a reasoning_content; only an assistant's may", turn.role));
    if (turn.role == "user") continue;
    for (const auto& part : turn.parts)
      if (part.media >= 0)
        fail(ErrorKind::data, fmt::format("a {} turn holds media; only user turns may", shown(turn.role)));
  }
}

Sample finished(Record&& record) {
  record.media.check_all_taken();
  check_roles(record.sample.turns);
  for (const auto& candidate : record.sample.candidates) check_roles(candidate.turns);
  return std::move(record.sample);
}

}  // namespace antiphon::records
