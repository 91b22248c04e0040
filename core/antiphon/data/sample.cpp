#include <antiphon/data/sample.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>

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

int64_t add_media(Sample& sample, Modality modality, const std::string& path, const std::filesystem::path& folder,
                  std::string stream = {}) {
  if (path.empty()) fail(ErrorKind::data, "a media path is empty");
  if (path.find('\0') != std::string::npos) fail(ErrorKind::data, "a media path holds a NUL character");
  sample.media.push_back({modality, folder / path, std::move(stream)});
  return static_cast<int64_t>(sample.media.size()) - 1;
}

std::optional<Modality> modality_of(std::string_view type) {
  for (const auto modality : {Modality::image, Modality::audio, Modality::video})
    if (type == to_string(modality)) return modality;
  return std::nullopt;
}

ContentPart read_part(const json& part, Sample& sample, const std::filesystem::path& folder) {
  if (!part.is_object()) fail(ErrorKind::data, "an element of 'content' is not an object");
  const auto& type = text_of(part, "type", "an element of 'content'");
  if (type == "text") return {text_of(part, "text", "a text part")};
  if (const auto modality = modality_of(type)) {
    const auto stream = part.contains("stream") ? text_of(part, "stream", "a media part") : "";
    return {{}, add_media(sample, *modality, text_of(part, type.c_str(), "a media part"), folder, stream)};
  }
  fail(ErrorKind::data, fmt::format("a content part has type '{}'; expected text, image, audio or video", shown(type)));
}

SampleTurn read_message(const json& message, Sample& sample, const std::filesystem::path& folder) {
  if (!message.is_object()) fail(ErrorKind::data, "an element of 'messages' is not an object");
  SampleTurn turn{text_of(message, "role", "a message"), {}};
  const auto content = message.find("content");
  if (content == message.end()) fail(ErrorKind::data, "a message has no 'content'");
  if (content->is_string()) {
    turn.parts.push_back({content->get<std::string>()});
  } else if (content->is_array()) {
    for (const auto& part : *content) turn.parts.push_back(read_part(part, sample, folder));
  } else {
    fail(ErrorKind::data, "'content' is neither a string nor a list");
  }
  return turn;
}

// LLaVA's files name one path or a list.
std::vector<std::string> paths_of(const json& object, const char* key) {
  const auto it = object.find(key);
  if (it == object.end() || it->is_null()) return {};
  if (it->is_string()) return {it->get<std::string>()};
  if (!it->is_array()) fail(ErrorKind::data, fmt::format("'{}' is neither a path nor a list of paths", key));
  std::vector<std::string> paths;
  for (const auto& path : *it) {
    if (!path.is_string()) fail(ErrorKind::data, fmt::format("'{}' lists something that is no path", key));
    paths.push_back(path.get<std::string>());
  }
  return paths;
}

// The paths of one kind that a record names, and how many its text has marked.
struct LlavaPaths {
  Modality modality;
  std::string mark;
  std::vector<std::string> paths;
  size_t next = 0;
};

// Splits at <image>, <audio> and <video>; the k-th mark takes the k-th path of its kind.
SampleTurn read_llava_turn(const json& record, std::vector<LlavaPaths>& media, Sample& sample,
                           const std::filesystem::path& folder) {
  const auto& from = text_of(record, "from", "a conversation turn");
  SampleTurn turn{from == "human" ? "user" : from == "gpt" ? "assistant" : from, {}};
  std::string_view rest = text_of(record, "value", "a conversation turn");
  while (!rest.empty() && turn.role == "user") {
    auto& kind = *std::ranges::min_element(media, {}, [&](const LlavaPaths& paths) { return rest.find(paths.mark); });
    const auto at = rest.find(kind.mark);
    if (at == std::string_view::npos) break;
    if (kind.next >= kind.paths.size())
      fail(ErrorKind::data,
           fmt::format("the text has more {} marks than the sample has paths ({})", kind.mark, kind.paths.size()));
    if (at > 0) turn.parts.push_back({std::string(rest.substr(0, at))});
    turn.parts.push_back({{}, add_media(sample, kind.modality, kind.paths[kind.next++], folder)});
    rest.remove_prefix(at + kind.mark.size());
    if (rest.starts_with('\n')) rest.remove_prefix(1);
  }
  if (!rest.empty() || turn.parts.empty()) turn.parts.push_back({std::string(rest)});
  return turn;
}

void read_llava(const json& record, Sample& sample, const std::filesystem::path& folder) {
  std::vector<LlavaPaths> media;
  for (const auto modality : {Modality::image, Modality::audio, Modality::video}) {
    const std::string name(to_string(modality));
    media.push_back({modality, "<" + name + ">", paths_of(record, name.c_str())});
  }
  for (const auto& turn : record.at("conversations")) {
    if (!turn.is_object()) fail(ErrorKind::data, "an element of 'conversations' is not an object");
    sample.turns.push_back(read_llava_turn(turn, media, sample, folder));
  }
  for (const auto& kind : media)
    if (kind.next != kind.paths.size())
      fail(ErrorKind::data,
           fmt::format("{} paths are named under '{}' but the text marks {}", kind.paths.size(),
                       to_string(kind.modality), kind.next),
           fmt::format("put one {} for each path into a human turn", kind.mark));
}

void check_roles(const Sample& sample) {
  if (sample.turns.empty()) fail(ErrorKind::data, "the conversation is empty");
  for (const auto& turn : sample.turns) {
    if (turn.role != "system" && turn.role != "user" && turn.role != "assistant")
      fail(ErrorKind::data, fmt::format("role '{}' is unknown; expected system, user or assistant", shown(turn.role)));
    if (turn.role == "user") continue;
    for (const auto& part : turn.parts)
      if (part.media >= 0)
        fail(ErrorKind::data, fmt::format("a {} turn holds media; only user turns may", shown(turn.role)));
  }
}

}  // namespace

Sample parse_sample(std::string_view line, const std::filesystem::path& folder) {
  if (!is_utf8(line)) fail(ErrorKind::data, "the line is not valid UTF-8");
  const auto record = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (record.is_discarded()) fail(ErrorKind::data, "the line is not valid JSON");
  if (!record.is_object())
    fail(ErrorKind::data, fmt::format("the line is a JSON {}; expected an object", record.type_name()));
  Sample sample;
  for (const auto& [key, value] : record.items())
    if (value.is_string()) sample.tags[key] = value.get<std::string>();
  if (const auto id = record.find("id"); id != record.end())
    sample.id = id->is_string() ? id->get<std::string>() : id->dump();
  const auto messages = record.find("messages"), conversations = record.find("conversations");
  if (messages != record.end() && messages->is_array()) {
    for (const auto& message : *messages) sample.turns.push_back(read_message(message, sample, folder));
  } else if (conversations != record.end() && conversations->is_array()) {
    read_llava(record, sample, folder);
  } else {
    fail(ErrorKind::data, "the object has neither a list 'messages' nor a list 'conversations'");
  }
  check_roles(sample);
  return sample;
}

}  // namespace antiphon::data
