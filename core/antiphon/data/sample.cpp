#include <antiphon/data/sample.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/json.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>
#include <antiphon/data/record_keys.h>
#include <antiphon/data/record_media.h>

#include <algorithm>
#include <optional>

namespace antiphon::data {
namespace {

using nlohmann::json;

const std::string& text_of(const json& object, const char* key, std::string_view what) {
  const auto it = object.find(key);
  if (it == object.end() || !it->is_string())
    fail(ErrorKind::data, fmt::format("{} has {} '{}'; expected a string", what,
                                      it == object.end() ? "no key" : "a key of another type", key));
  return it->get_ref<const std::string&>();
}

bool is_there(const json& object, const std::string& key) {
  const auto it = object.find(key);
  return it != object.end() && !it->is_null();
}

// What all readers of one record need.
struct Record {
  const json& object;
  const std::filesystem::path& folder;
  RecordMedia media;
  Sample sample;
};

ContentPart read_media_part(const json& part, Modality modality, Record& record) {
  const std::string key(to_string(modality));
  const auto stream = is_there(part, "stream") ? text_of(part, "stream", "a media part") : "";
  if (!is_there(part, key) && stream.empty())
    if (const auto index = record.media.take(modality, record.sample)) return {{}, *index};
  return {{}, add_media(record.sample, modality, text_of(part, key.c_str(), "a media part"), record.folder, stream)};
}

ContentPart read_part(const json& part, Record& record) {
  if (!part.is_object()) fail(ErrorKind::data, "an element of 'content' is not an object");
  const auto& type = text_of(part, "type", "an element of 'content'");
  check_keys(part, {"type", "text", "image", "audio", "video", "stream"}, "content: ", record.sample.unread);
  if (type == "text") return {text_of(part, "text", "a text part")};
  if (const auto modality = modality_of(type)) return read_media_part(part, *modality, record);
  fail(ErrorKind::data, fmt::format("a content part has type '{}'; expected text, image, audio or video", shown(type)));
}

// Only what a user says has marks: in other turns they are text.
void add_text(std::string_view text, bool drop_line_end, SampleTurn& turn, Record& record) {
  if (turn.role == "user")
    record.media.add_text(text, drop_line_end, turn, record.sample);
  else
    turn.parts.push_back({std::string(text)});
}

void read_message(const json& message, Record& record) {
  if (!message.is_object()) fail(ErrorKind::data, "an element of 'messages' is not an object");
  SampleTurn turn{text_of(message, "role", "a message"), {}};
  if (is_there(message, "reasoning_content")) turn.reasoning = text_of(message, "reasoning_content", "a message");
  check_keys(message, {"role", "content", "reasoning_content"}, "messages: ", record.sample.unread);
  const auto content = message.find("content");
  if (content == message.end()) fail(ErrorKind::data, "a message has no 'content'");
  if (content->is_string()) {
    add_text(content->get_ref<const std::string&>(), false, turn, record);
  } else if (content->is_array()) {
    for (const auto& part : *content) turn.parts.push_back(read_part(part, record));
  } else {
    fail(ErrorKind::data, "'content' is neither a string nor a list");
  }
  record.sample.turns.push_back(std::move(turn));
}

void read_llava_turn(const json& object, Record& record) {
  if (!object.is_object()) fail(ErrorKind::data, "an element of 'conversations' is not an object");
  const auto& from = text_of(object, "from", "a conversation turn");
  check_keys(object, {"from", "value"}, "conversations: ", record.sample.unread);
  SampleTurn turn{from == "human" ? "user" : from == "gpt" ? "assistant" : from, {}};
  add_text(text_of(object, "value", "a conversation turn"), true, turn, record);
  record.sample.turns.push_back(std::move(turn));
}

void read_names(Record& record) {
  check_keys(record.object,
             {"id", "messages", "conversations", "image", "images", "audio", "audios", "video", "videos", "system"}, "",
             record.sample.unread);
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
    for (const auto& message : *messages) read_message(message, record);
    record.media.place_unmarked(record.sample);
  }
  read_system(record);
}

void check_roles(const Sample& sample) {
  if (sample.turns.empty()) fail(ErrorKind::data, "the conversation is empty");
  for (const auto& turn : sample.turns) {
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
  read_turns(record);
  record.media.check_all_taken();
  check_roles(record.sample);
  return std::move(record.sample);
}

}  // namespace antiphon::data
