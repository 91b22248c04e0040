#include <antiphon/data/record.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>
#include <antiphon/data/record_keys.h>

namespace antiphon::data {

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

namespace {

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

}  // namespace

void add_text(std::string_view text, bool drop_line_end, SampleTurn& turn, Record& record) {
  if (turn.role == "user")
    record.media.add_text(text, drop_line_end, turn, record.sample);
  else
    turn.parts.push_back({std::string(text)});
}

SampleTurn read_message(const json& message, Record& record) {
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
  return turn;
}

}  // namespace antiphon::data
