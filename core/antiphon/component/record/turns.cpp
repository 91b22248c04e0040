#include <antiphon/component/record/turns.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>
#include <antiphon/component/record/content.h>
#include <antiphon/component/record/record_keys.h>
#include <antiphon/component/record/tools.h>

#include <algorithm>
#include <map>

namespace antiphon::records {
namespace {

constexpr const char* kFunctionCall = "function_call";

// Names of speakers in data sets like ShareGPT's; others stay, and check_roles() refuses them.
std::string role_of_speaker(const std::string& from) {
  static const std::map<std::string, std::string> roles{{"human", "user"},
                                                        {"User", "user"},
                                                        {"gpt", "assistant"},
                                                        {"chatgpt", "assistant"},
                                                        {"bing", "assistant"},
                                                        {"bard", "assistant"},
                                                        {"model", "assistant"},
                                                        {"Assistant", "assistant"},
                                                        {kFunctionCall, "assistant"},
                                                        {"observation", "tool"},
                                                        {"function_response", "tool"}};
  const auto role = roles.find(from);
  return role == roles.end() ? from : role->second;
}

std::string role_of_message(const std::string& role) {
  if (role == "tool_call") return "assistant";
  if (role == "developer") return "system";  // OpenAI's newer name
  return role == "tool_response" || role == "function" ? "tool" : role;
}

// "loss" (ms-swift: true or false) and "weight" (OpenAI, axolotl: 0 or 1) of an answer; returns the keys.
std::set<std::string> read_trained(const Json& object, SampleTurn& turn) {
  const std::set<std::string> keys{"loss", "weight"};
  for (const auto& key : keys) {
    if (!is_there(object, key)) continue;
    const auto& value = object.at(key);
    const bool no = value == 0 || value == false;
    if (!no && value != 1 && value != true)
      fail(ErrorKind::data,
           fmt::format("'{}' of an answer is {}; expected 0 or 1, false or true", key, shown(value.dump(), 40)),
           "an answer is learnt or not; weigh whole sources");
    turn.trained = turn.trained && !no;
  }
  return keys;
}

bool has_label(const Json& object) {
  const auto found = object.find("label");
  return found != object.end() && (found->is_string() || found->is_object()) && !found->empty() && *found != "";
}

// "label" of an answer, its attributes (NeMo's chats); returns the keys. A value of another type is metadata.
std::set<std::string> read_label(const Json& object, SampleTurn& turn) {
  if (!has_label(object)) return {};
  const auto& label = object.at("label");
  turn.label = label.is_string() ? label.get<std::string>() : label.dump();
  return {"label"};
}

// "train" (axolotl) and "loss_scale" (ms-swift) of a turn must say what holds anyway: answers are learnt, each as much
// as the others, unless read_trained() says otherwise, and nothing else is. Returns the keys.
std::set<std::string> check_learnt(const Json& object, const SampleTurn& turn) {
  const bool answer = turn.role == "assistant", learnt = answer && turn.trained;
  const std::set<std::string> keys =
      answer ? std::set<std::string>{"train", "loss_scale"} : std::set<std::string>{"train"};
  for (const auto& key : keys)
    if (is_there(object, key) && (object.at(key) == 1 || object.at(key) == true) != learnt)
      fail(ErrorKind::data,
           fmt::format("'{}' of a turn of role '{}' is {}, which is not followed: answers are learnt, and nothing else",
                       key, shown(turn.role), shown(object.at(key).dump(), 40)),
           "write \"loss\": false for an answer that is not to be learnt, or take the key out");
  return keys;
}

// A thought, and what only a chat template knows, if it does: it gets these as they are, as in transformers. Returns
// the keys.
std::set<std::string> read_beside(const Json& object, std::string_view what, SampleTurn& turn) {
  if (is_there(object, "reasoning_content")) turn.reasoning = text_of(object, "reasoning_content", what);
  const std::set<std::string> keys{"name", "reasoning", "thinking"};
  Json beside = Json::object();
  for (const auto& key : keys)
    if (is_there(object, key)) beside[key] = object.at(key);
  if (!beside.empty()) turn.more = beside.dump();
  auto known = keys;
  known.insert("reasoning_content");
  return known;
}

// Both texts are objects, or empty.
std::string joined_objects(const std::string& one, const std::string& other) {
  if (one.empty() || other.empty()) return one + other;
  auto joined = Json::parse(one);
  joined.update(Json::parse(other));
  return joined.dump();
}

// Calls that stand in a turn of their own belong to the answer before them.
void add_calls(SampleTurn turn, std::vector<SampleTurn>& turns) {
  if (turns.empty() || turns.back().role != "assistant") return turns.push_back(std::move(turn));
  auto& before = turns.back();
  if (!turn.reasoning.empty() || !turn.more.empty())
    fail(ErrorKind::data, "calls that belong to the answer before them have a thought or a name of their own",
         "give it to the answer");
  if (before.trained != turn.trained)
    fail(ErrorKind::data, "an answer is to be learnt and the calls that belong to it are not, or the reverse",
         "give both the same 'loss' or 'weight'");
  before.tool_calls = joined_calls(before.tool_calls, turn.tool_calls);
  if (before.label.empty()) before.label = std::move(turn.label);
}

std::string text_in(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// NeMo's chats (GPTSFTChatDataset): "mask" beside the turns names the speaker whose turns are not learnt, and by a
// "type" the "label" of a turn is said before or after it (SteerLM): before an answer [data.attributes] says it. What
// would be read otherwise than there is refused.
void check_chat(const Json& record, const Json& object, const SampleTurn& turn) {
  if (turn.role == "assistant" && text_in(object, "from") == text_in(record, "mask"))
    fail(
        ErrorKind::data,
        fmt::format("'mask' is {}, and what the assistant says is what is learnt", shown(record.at("mask").dump(), 40)),
        "leave the record out, or give answers that are not to be learnt \"loss\": false");
  const auto type = text_in(record, "type");
  if ((type == "TEXT_TO_VALUE" || (type == "VALUE_TO_TEXT" && turn.role != "assistant")) && has_label(object))
    fail(ErrorKind::data, fmt::format("a turn has a 'label', which belongs to its text by 'type': \"{}\"", type),
         "write the label into the turns, or take 'type' or the labels out");
}

// Whether a user says the mark.
bool is_marked(const Json& conversation, const char* mark) {
  return std::ranges::any_of(conversation, [&](const Json& turn) {
    return turn.is_object() && role_of_speaker(text_in(turn, "from")) == "user" &&
           text_in(turn, "value").find(mark) != std::string::npos;
  });
}

}  // namespace

void add_text(std::string_view text, bool drop_line_end, SampleTurn& turn, Record& record) {
  if (turn.role == "user")
    record.media.add_text(text, drop_line_end, turn, record.sample);
  else
    turn.parts.push_back({std::string(text)});
}

SampleTurn read_message(const Json& message, const std::string& list, Record& record) {
  if (!message.is_object()) fail(ErrorKind::data, fmt::format("an element of '{}' is not an object", list));
  const auto& role = text_of(message, "role", "a message");
  SampleTurn turn{role_of_message(role), {}};
  std::set<std::string> known{"role", "content"};
  known.merge(read_beside(message, "a message", turn));
  if (turn.role == "assistant") known.insert({"tool_calls", "function_call"}), turn.tool_calls = tool_calls_of(message);
  if (turn.role == "assistant") known.merge(read_trained(message, turn)), known.merge(read_label(message, turn));
  if (turn.role == "tool")
    known.insert({"tool_call_id", "name"}), turn.more = joined_objects(tool_of(message), turn.more);
  known.merge(check_learnt(message, turn));
  check_keys(message, known, list + ": ", record.sample.unread);
  if (role == "tool_call")
    turn.tool_calls = joined_calls(turn.tool_calls, tool_calls_in(text_of(message, "content", "a tool_call")));
  else
    read_content(message, turn, record);
  return turn;
}

std::vector<SampleTurn> read_message_list(const Json& messages, const std::string& list, Record& record) {
  std::vector<SampleTurn> turns;
  for (const auto& message : messages) {
    auto turn = read_message(message, list, record);
    message.at("role") == "tool_call" ? add_calls(std::move(turn), turns) : turns.push_back(std::move(turn));
  }
  return turns;
}

SampleTurn read_conversation_turn(const Json& object, Record& record) {
  if (!object.is_object()) fail(ErrorKind::data, "an element of 'conversations' is not an object");
  const auto& from = text_of(object, "from", "a conversation turn");
  SampleTurn turn{role_of_speaker(from), {}};
  std::set<std::string> known{"from", "value"};
  known.merge(read_beside(object, "a conversation turn", turn));
  if (turn.role == "assistant") known.merge(read_trained(object, turn)), known.merge(read_label(object, turn));
  known.merge(check_learnt(object, turn));
  check_keys(object, known, "conversations: ", record.sample.unread);
  check_chat(record.object, object, turn);
  const auto& value = text_of(object, "value", "a conversation turn");
  if (from == kFunctionCall)
    turn.tool_calls = tool_calls_in(value);
  else
    add_text(value, true, turn, record);
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
  record.sample.turns = read_message_list(list_at(record.object, "messages"), "messages", record);
  record.media.place_unmarked(record.sample);
  read_system(record);
}

void read_conversations(Record& record) {
  auto& turns = record.sample.turns;
  const auto& list = list_at(record.object, "conversations");
  if (is_marked(list, "<image>") && !is_marked(list, "<video>")) record.media.mark_videos_as_images();
  for (const auto& object : list) {
    auto turn = read_conversation_turn(object, record);
    object.at("from") == kFunctionCall ? add_calls(std::move(turn), turns) : turns.push_back(std::move(turn));
  }
  read_system(record);
}

void read_tools(Record& record) { record.sample.tools = tools_of(record.object); }

}  // namespace antiphon::records
