#include <antiphon/data/sample.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/json.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>
#include <antiphon/data/record.h>
#include <antiphon/data/record_keys.h>

#include <algorithm>
#include <optional>

namespace antiphon::data {
namespace {

using nlohmann::json;

void read_llava_turn(const json& object, Record& record) {
  if (!object.is_object()) fail(ErrorKind::data, "an element of 'conversations' is not an object");
  const auto& from = text_of(object, "from", "a conversation turn");
  check_keys(object, {"from", "value"}, "conversations: ", record.sample.unread);
  SampleTurn turn{from == "human" ? "user" : from == "gpt" ? "assistant" : from, {}};
  add_text(text_of(object, "value", "a conversation turn"), true, turn, record);
  record.sample.turns.push_back(std::move(turn));
}

void read_names(Record& record) {
  std::set<std::string> known{"id",    "messages", "conversations", "candidates", "image", "images",
                              "audio", "audios",   "video",         "videos",     "system"};
  if (is_pair(record.object)) known.insert({"prompt", "chosen", "rejected"});
  check_keys(record.object, known, "", record.sample.unread);
  for (const auto& [key, value] : record.object.items())
    if (value.is_string()) record.sample.tags[key] = value.get<std::string>();
  if (!is_there(record.object, "id")) return;
  const auto& id = record.object.at("id");
  record.sample.id = id.is_string() ? id.get<std::string>() : id.dump();
}

// "system" beside the turns (LLaMA-Factory) is a first turn.
void read_system(Record& record) {
  if (!is_there(record.object, "system")) return;
  const auto& text = text_of(record.object, "system", "the object");
  if (text.empty()) return;
  if (std::ranges::count(record.sample.turns, "system", &SampleTurn::role) > 0)
    fail(ErrorKind::data, "the object has both a key 'system' and a system turn");
  record.sample.turns.insert(record.sample.turns.begin(), {"system", {{text}}});
}

void read_turns(Record& record) {
  const auto list = [&](const char* key) {
    const auto it = record.object.find(key);
    return it != record.object.end() && it->is_array() ? &*it : nullptr;
  };
  const auto *messages = list("messages"), *conversations = list("conversations");
  if (messages && conversations) fail(ErrorKind::data, "the object has both 'messages' and 'conversations'");
  if (!messages && !conversations)
    fail(ErrorKind::data, "the object has neither a list 'messages' nor a list 'conversations'");
  if (conversations) {
    for (const auto& turn : *conversations) read_llava_turn(turn, record);
  } else {
    for (const auto& message : *messages) record.sample.turns.push_back(read_message(message, record));
    record.media.place_unmarked(record.sample);
  }
}

void check_roles(const std::vector<SampleTurn>& turns) {
  if (turns.empty()) fail(ErrorKind::data, "the conversation is empty");
  for (const auto& turn : turns) {
    if (turn.role != "system" && turn.role != "user" && turn.role != "assistant")
      fail(ErrorKind::data, fmt::format("role '{}' is unknown; expected system, user or assistant", shown(turn.role)));
    if (turn.role != "assistant" && !turn.reasoning.empty())
      fail(ErrorKind::data, fmt::format("a {} turn has a reasoning_content; only an assistant's may", turn.role));
    if (turn.role == "user") continue;
    for (const auto& part : turn.parts)
      if (part.media >= 0)
        fail(ErrorKind::data, fmt::format("a {} turn holds media; only user turns may", shown(turn.role)));
  }
}

}  // namespace

Sample parse_sample(std::string_view line, const std::filesystem::path& folder) {
  if (!is_utf8(line)) fail(ErrorKind::data, "the line is not valid UTF-8");
  JsonProblem problem;
  const auto object = parse_json(line, problem);
  if (!problem.problem.empty()) fail(ErrorKind::data, "the line is " + problem.problem);
  if (!object.is_object())
    fail(ErrorKind::data, fmt::format("the line is a JSON {}; expected an object", object.type_name()));
  Record record{object, folder, RecordMedia(object, folder), {}};
  read_names(record);
  is_pair(object) ? read_pair(record) : read_turns(record);
  read_system(record);
  read_candidates(record);
  record.media.check_all_taken();
  check_roles(record.sample.turns);
  for (const auto& candidate : record.sample.candidates) check_roles(candidate.turns);
  return std::move(record.sample);
}

}  // namespace antiphon::data
