#include <data/sample_json.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>
#include <antiphon/data/piece.h>

#include <cmath>

namespace antiphon::apps {
namespace {

using Json = nlohmann::ordered_json;

class Writer {
 public:
  Writer(const Sample& sample, const MediaName& name_of) : sample_(sample), name_of_(name_of) {}

  Json messages(const std::vector<SampleTurn>& turns) const {
    auto out = Json::array();
    for (const auto& turn : turns) out.push_back(message(turn));
    return out;
  }
  Json candidate(const Candidate& one) const {
    Json out{{"messages", messages(one.turns)}};
    if (!std::isnan(one.value)) out["score"] = one.value;
    for (const auto& [place, other] : one.media) out["media"][std::to_string(place)] = name_of_(other);
    return out;
  }

 private:
  Json message(const SampleTurn& turn) const {
    Json out{{"role", turn.role}, {"content", content(turn)}};
    if (!turn.reasoning.empty()) out["reasoning_content"] = turn.reasoning;
    if (!turn.tool_calls.empty()) out["tool_calls"] = Json::parse(turn.tool_calls);
    if (!turn.tool.empty()) out.update(Json::parse(turn.tool));
    if (turn.role == "assistant" && !turn.trained) out["loss"] = false;
    return out;
  }
  Json content(const SampleTurn& turn) const {
    if (turn.parts.empty()) return turn.tool_calls.empty() ? Json("") : Json();
    if (turn.parts.size() == 1 && turn.parts[0].media < 0) return turn.parts[0].text;
    auto out = Json::array();
    for (const auto& part : turn.parts)
      out.push_back(part.media < 0 ? Json{{"type", "text"}, {"text", part.text}}
                                   : medium(static_cast<size_t>(part.media)));
    return out;
  }
  Json medium(size_t index) const {
    const auto& ref = sample_.media.at(index);
    const std::string kind(to_string(ref.modality));
    Json out{{"type", kind}, {kind, name_of_(index)}};
    if (!ref.stream.empty()) out["stream"] = ref.stream;
    return out;
  }
  const Sample& sample_;
  const MediaName& name_of_;
};

Json record_of(const Sample& sample, const MediaName& name_of) {
  const Writer writer(sample, name_of);
  auto record = Json::object();
  record["id"] = sample.id;
  for (const auto& [key, value] : sample.tags) record[key] = value;
  record["messages"] = writer.messages(sample.turns);
  for (const auto& one : sample.candidates) record["candidates"].push_back(writer.candidate(one));
  if (!sample.tools.empty()) record["tools"] = Json::parse(sample.tools);
  return record;
}

}  // namespace

void check_whole(const Sample& sample, const char* layout) {
  for (const auto& ref : sample.media) {
    if (ref.channel)
      fail(ErrorKind::data,
           fmt::format("channel {} of '{}' is meant, which {} cannot say", *ref.channel, shown(ref.bytes.name()),
                       layout),
           "read this set as it is, or write the channel as a recording of its own first");
    if (data::is_piece(ref))
      fail(ErrorKind::data,
           fmt::format("'{}' is a piece of a recording, which {} cannot name", shown(ref.bytes.name()), layout),
           "write it as --layout nemo_manifest, read this set as it is, or cut the recordings first");
  }
}

Json to_record(const Sample& sample, const MediaName& name_of) {
  check_whole(sample);
  return record_of(sample, name_of);
}

std::string said_by(const Sample& sample) {
  auto text = record_of(sample, [](size_t index) { return std::to_string(index); }).dump();
  for (const auto& ref : sample.media)
    text += fmt::format(" {:.6f}+{:.6f} {}", ref.begin, ref.seconds, ref.channel.value_or(-1));
  return text;
}

}  // namespace antiphon::apps
