#include <antiphon/data/layouts/layout_parts.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>
#include <antiphon/data/piece.h>

namespace antiphon::data {

using Json = nlohmann::ordered_json;

[[noreturn]] void refuse(const char* layout, const std::string& what) {
  fail(ErrorKind::data, fmt::format("the layout {} cannot hold {}", layout, what), "write it as messages");
}

void check_plain(const char* layout, const Sample& sample, bool tools) {
  if (!sample.candidates.empty()) refuse(layout, "several answers to one prompt");
  for (const auto& ref : sample.media)
    if (!ref.stream.empty()) refuse(layout, "a medium of a stream that is named");
  for (const auto& turn : sample.turns) {
    if (turn.role == "document") refuse(layout, "a document");
    if (!turn.reasoning.empty()) refuse(layout, "a reasoning_content");
    if (!turn.label.empty()) refuse(layout, "the label of an answer");
    if (!turn.more.empty()) refuse(layout, "a name, a tool_call_id or a thought of a turn");
    if (tools && (turn.role == "tool" || !turn.tool_calls.empty())) refuse(layout, "calls of tools");
  }
}

void check_channels(const Sample& sample, const char* layout) {
  for (const auto& ref : sample.media)
    if (ref.channel)
      fail(ErrorKind::data,
           fmt::format("channel {} of '{}' is meant, which {} cannot say", *ref.channel, shown(ref.bytes.name()),
                       layout),
           "write it as --layout lhotse_cut, or the channel as a recording of its own first");
}

void check_whole(const Sample& sample, const char* layout) {
  check_channels(sample, layout);
  for (const auto& ref : sample.media)
    if (is_piece(ref))
      fail(ErrorKind::data,
           fmt::format("'{}' is a piece of a recording, which {} cannot name", shown(ref.bytes.name()), layout),
           "write it as --layout messages, nemo_manifest or lhotse_cut, read this set as it is, or cut the recordings "
           "first");
}

Json begun(const Sample& sample) {
  auto record = Json::object();
  record["id"] = sample.id;
  for (const auto& [key, value] : sample.tags) record[key] = value;
  return record;
}

void put_tools(const Sample& sample, const Target& target, Json& record) {
  if (!sample.tools.empty()) record["tools"] = target.table ? Json(sample.tools) : Json::parse(sample.tools);
}

std::optional<SpokenQuestion> spoken_question(const Sample& sample, size_t begin) {
  if (sample.turns.size() != begin + 2 || !sample.tools.empty()) return std::nullopt;
  const auto &asked = sample.turns[begin], &answer = sample.turns[begin + 1];
  if (asked.role != "user" || answer.role != "assistant" || !answer.trained || answer.parts.size() != 1)
    return std::nullopt;
  SpokenQuestion found;
  for (const auto& part : asked.parts) {
    const auto index = static_cast<size_t>(part.media);
    if (part.media < 0)
      found.question += part.text;
    else if (found.question.empty() && sample.media.at(index).modality == Modality::audio)
      found.recordings.push_back(index);
    else
      return std::nullopt;
  }
  if (found.recordings.empty()) return std::nullopt;
  found.answer = answer.parts.front().text;
  return found;
}

}  // namespace antiphon::data
