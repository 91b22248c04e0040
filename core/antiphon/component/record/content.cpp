#include <antiphon/component/record/content.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>
#include <antiphon/component/record/pieces.h>
#include <antiphon/component/record/record_keys.h>

#include <optional>

namespace antiphon::records {
namespace {

// Keys that say what a part shows.
const std::set<std::string> kShown{"text", "image",     "audio",     "video",     "path",
                                   "url",  "image_url", "audio_url", "video_url", "input_audio"};

// One of the keys of its own type, and none of another: what they say would be lost.
void check_shown(const Json& part, const std::string& type, const std::set<std::string>& own) {
  bool shows = false;
  for (const auto& key : kShown) {
    if (!is_there(part, key) || part.at(key) == "") continue;
    if (shows || !own.contains(key))
      fail(ErrorKind::data,
           fmt::format("a content part of type '{}' has the key '{}', which would not be read", type, key),
           "give each text and each medium a part of its own, with one key that says what it is");
    shows = true;
  }
}

std::string name_in(const Json& part, const std::string& key) {
  if (is_there(part, key))
    if (const auto& path = path_within(part.at(key)); path.is_string()) return path.get<std::string>();
  return text_of(part, key.c_str(), "a media part");
}

// What the k-th place of its kind takes, or the medium that the part names itself: under the name of its kind, or, as
// in transformers' templates, as a path or a URL.
int64_t read_media_part(const Json& part, Modality modality, Record& record) {
  const std::string key(to_string(modality));
  check_shown(part, key, {key, "path", "url"});
  const auto stream = is_there(part, "stream") ? text_of(part, "stream", "a media part") : "";
  for (const char* other : {"path", "url"})
    if (!is_there(part, key) && is_there(part, other))
      return record.media.add(record.sample, modality, name_in(part, other), stream);
  if (!is_there(part, key) && stream.empty())
    if (const auto index = record.media.take(modality, record.sample)) return *index;
  return record.media.add(record.sample, modality, name_in(part, key), stream);
}

// {"type": "image_url", "image_url": {"url": …}} of OpenAI's interface; audio_url and video_url are vLLM's.
int64_t read_url_part(const Json& part, const std::string& type, Modality modality, Record& record) {
  check_shown(part, type, {type});
  const auto url = part.find(type);
  if (url == part.end() || !url->is_object())
    return record.media.add(record.sample, modality, text_of(part, type.c_str(), "a media part"));
  check_keys(*url, {"url", "detail"}, type + ": ", record.sample.unread);
  return record.media.add(record.sample, modality, text_of(*url, "url", "a media part"));
}

// {"type": "input_audio", "input_audio": {"data": base64, "format": "wav"}} of OpenAI's interface.
int64_t read_input_audio(const Json& part, Record& record) {
  check_shown(part, "input_audio", {"input_audio"});
  const auto sound = part.find("input_audio");
  if (sound == part.end() || !sound->is_object())
    fail(ErrorKind::data, "a content part of type 'input_audio' has no object 'input_audio'");
  const auto& format = text_of(*sound, "format", "an input_audio");
  const auto url = "data:audio/" + format + ";base64," + text_of(*sound, "data", "an input_audio");
  return record.media.add(record.sample, Modality::audio, url);
}

// The kind of medium that a part of this type shows.
std::optional<Modality> modality_of_part(const std::string& type) {
  if (type == "input_audio") return Modality::audio;
  return modality_of(type.ends_with("_url") ? type.substr(0, type.size() - 4) : type);
}

int64_t read_medium(const Json& part, const std::string& type, Modality modality, Record& record) {
  if (type == "input_audio") return read_input_audio(part, record);
  return type.ends_with("_url") ? read_url_part(part, type, modality, record) : read_media_part(part, modality, record);
}

ContentPart read_part(const Json& part, Record& record) {
  if (!part.is_object()) fail(ErrorKind::data, "an element of 'content' is not an object");
  const auto& type = text_of(part, "type", "an element of 'content'");
  const auto modality = modality_of_part(type);
  if (type != "text" && !modality)
    fail(ErrorKind::data,
         fmt::format("a content part has type '{}'; expected text, image, audio or video", shown(type)));
  std::set<std::string> known{"type", "stream"};
  known.insert(kShown.begin(), kShown.end());
  if (modality == Modality::audio) known.merge(piece_keys());
  check_keys(part, known, "content: ", record.sample.unread);
  if (!modality) {
    check_shown(part, type, {"text"});
    return {text_of(part, "text", "a text part")};
  }
  const auto index = read_medium(part, type, *modality, record);
  if (modality == Modality::audio) read_piece(part, 0, 1, record.sample.media.at(static_cast<size_t>(index)));
  if (modality == Modality::video) check_whole_video(part);
  return {{}, index};
}

}  // namespace

void read_content(const Json& message, SampleTurn& turn, Record& record) {
  const auto content = message.find("content");
  const bool calls = !turn.tool_calls.empty();  // then there may be nothing else to say
  if (calls && (content == message.end() || content->is_null())) return;
  if (content == message.end()) fail(ErrorKind::data, "a message has no 'content'");
  if (content->is_string()) {
    add_text(content->get_ref<const std::string&>(), false, turn, record);
  } else if (content->is_array()) {
    for (const auto& part : *content) turn.parts.push_back(read_part(part, record));
  } else {
    fail(ErrorKind::data, "'content' is neither a string nor a list");
  }
}

}  // namespace antiphon::records
