#include <antiphon/component/record/turns.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>
#include <antiphon/component/record/content.h>
#include <antiphon/component/record/record_keys.h>
#include <antiphon/component/record/tools.h>

#include <algorithm>

namespace antiphon::records {
namespace {

bool has_list(const Json& object, const std::string& key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_array();
}

const Json& list_at(const Json& object, const std::string& key) {
  if (!has_list(object, key)) fail(ErrorKind::data, fmt::format("the object has no list '{}'", key));
  return object.at(key);
}

}  // namespace

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

const std::string& text_of(const Json& object, const char* key, std::string_view what) {
  const auto it = object.find(key);
  if (it == object.end() || !it->is_string())
    fail(ErrorKind::data, fmt::format("{} has {} '{}'; expected a string", what,
                                      it == object.end() ? "no key" : "a key of another type", key));
  return it->get_ref<const std::string&>();
}

void add_text(std::string_view text, bool drop_line_end, SampleTurn& turn, Record& record) {
  if (turn.role == "user")
    record.media.add_text(text, drop_line_end, turn, record.sample);
  else
    turn.parts.push_back({std::string(text)});
}

SampleTurn read_message(const Json& message, const std::string& list, Record& record) {
  if (!message.is_object()) fail(ErrorKind::data, fmt::format("an element of '{}' is not an object", list));
  SampleTurn turn{text_of(message, "role", "a message"), {}};
  if (is_there(message, "reasoning_content")) turn.reasoning = text_of(message, "reasoning_content", "a message");
  std::set<std::string> known{"role", "content", "reasoning_content"};
  if (turn.role == "assistant") known.insert("tool_calls"), turn.tool_calls = tool_calls_of(message);
  if (turn.role == "tool") known.insert({"tool_call_id", "name"}), turn.tool = tool_of(message);
  check_keys(message, known, list + ": ", record.sample.unread);
  read_content(message, turn, record);
  return turn;
}

SampleTurn read_conversation_turn(const Json& object, Record& record) {
  if (!object.is_object()) fail(ErrorKind::data, "an element of 'conversations' is not an object");
  const auto& from = text_of(object, "from", "a conversation turn");
  check_keys(object, {"from", "value"}, "conversations: ", record.sample.unread);
  SampleTurn turn{from == "human" ? "user" : from == "gpt" ? "assistant" : from, {}};
  add_text(text_of(object, "value", "a conversation turn"), true, turn, record);
  return turn;
}

void read_system(Record& record) {
  if (!is_there(record.object, "system")) return;
  const auto& text = text_of(record.object, "system", "the object");
  if (text.empty()) return;
  if (std::ranges::count(record.sample.turns, "system", &SampleTurn::role) > 0)
    fail(ErrorKind::data, "the object has both a key 'system' and a system turn");
  record.sample.turns.insert(record.sample.turns.begin(), {"system", {{text}}});
}

void read_messages(Record& record) {
  for (const auto& message : list_at(record.object, "messages"))
    record.sample.turns.push_back(read_message(message, "messages", record));
  record.media.place_unmarked(record.sample);
  read_system(record);
}

void read_conversations(Record& record) {
  for (const auto& turn : list_at(record.object, "conversations"))
    record.sample.turns.push_back(read_conversation_turn(turn, record));
  read_system(record);
}

void read_tools(Record& record) { record.sample.tools = tools_of(record.object); }

std::set<std::string> keys_beside_turns() {
  return {"system", "image", "images", "audio", "audios", "video", "videos"};
}

std::set<std::string> answer_keys() { return {"prompt", "chosen", "rejected", "candidates"}; }

void check_roles(const std::vector<SampleTurn>& turns) {
  if (turns.empty()) fail(ErrorKind::data, "the conversation is empty");
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
