#include <antiphon/component/record/content.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>
#include <antiphon/component/record/record_keys.h>

namespace antiphon::records {
namespace {

// What the k-th place of its kind takes, or the medium that the part names itself: under the name of its kind, or, as
// in transformers' templates, as a path or a URL.
ContentPart read_media_part(const Json& part, Modality modality, Record& record) {
  const std::string key(to_string(modality));
  const auto stream = is_there(part, "stream") ? text_of(part, "stream", "a media part") : "";
  for (const char* other : {"path", "url"})
    if (!is_there(part, key) && is_there(part, other))
      return {{}, record.media.add(record.sample, modality, text_of(part, other, "a media part"), stream)};
  if (!is_there(part, key) && stream.empty())
    if (const auto index = record.media.take(modality, record.sample)) return {{}, *index};
  return {{}, record.media.add(record.sample, modality, text_of(part, key.c_str(), "a media part"), stream)};
}

// {"type": "image_url", "image_url": {"url": …}} of OpenAI's interface; audio_url and video_url are vLLM's.
ContentPart read_url_part(const Json& part, const std::string& type, Modality modality, Record& record) {
  const auto url = part.find(type);
  if (url != part.end() && url->is_object())
    return {{}, record.media.add(record.sample, modality, text_of(*url, "url", "a media part"))};
  return {{}, record.media.add(record.sample, modality, text_of(part, type.c_str(), "a media part"))};
}

// {"type": "input_audio", "input_audio": {"data": base64, "format": "wav"}} of OpenAI's interface.
ContentPart read_input_audio(const Json& part, Record& record) {
  const auto sound = part.find("input_audio");
  if (sound == part.end() || !sound->is_object())
    fail(ErrorKind::data, "a content part of type 'input_audio' has no object 'input_audio'");
  const auto& format = text_of(*sound, "format", "an input_audio");
  const auto url = "data:audio/" + format + ";base64," + text_of(*sound, "data", "an input_audio");
  return {{}, record.media.add(record.sample, Modality::audio, url)};
}

ContentPart read_part(const Json& part, Record& record) {
  if (!part.is_object()) fail(ErrorKind::data, "an element of 'content' is not an object");
  const auto& type = text_of(part, "type", "an element of 'content'");
  check_keys(part,
             {"type", "text", "image", "audio", "video", "path", "url", "stream", "image_url", "audio_url", "video_url",
              "input_audio"},
             "content: ", record.sample.unread);
  if (type == "text") return {text_of(part, "text", "a text part")};
  if (type == "input_audio") return read_input_audio(part, record);
  if (const auto modality = modality_of(type)) return read_media_part(part, *modality, record);
  const auto url = type.ends_with("_url") ? modality_of(type.substr(0, type.size() - 4)) : std::nullopt;
  if (url) return read_url_part(part, type, *url, record);
  fail(ErrorKind::data, fmt::format("a content part has type '{}'; expected text, image, audio or video", shown(type)));
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
