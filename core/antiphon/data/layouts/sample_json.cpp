#include <antiphon/data/layouts/sample_json.h>

#include <fmt/format.h>

#include <antiphon/data/layouts/layout_parts.h>
#include <antiphon/data/piece.h>

#include <cmath>
#include <map>

namespace antiphon::data {
namespace {

using Json = nlohmann::ordered_json;

struct Form {
  bool listed = false;   // media in lists beside the turns, but for those of a stream that is named
  bool uniform = false;  // texts as lists of parts, and arguments as their JSON
};

class Writer {
 public:
  Writer(const Sample& sample, const MediaName& name_of, Form form) : sample_(sample), name_of_(name_of), form_(form) {}

  Json messages(const std::vector<SampleTurn>& turns) {
    auto out = Json::array();
    for (const auto& turn : turns) out.push_back(message(turn));
    return out;
  }
  Json candidate(const Candidate& one) {
    for (const auto& [place, other] : one.media)
      if (is_piece(sample_.media.at(other))) refuse("messages", "a piece of a recording that a candidate alone has");
    Json out{{"messages", messages(one.turns)}};
    if (!std::isnan(one.value)) out["score"] = one.value;
    for (const auto& [place, other] : one.media) out["media"][std::to_string(place)] = name_of_(other);
    return out;
  }
  void put_lists(Json& record) const {
    for (const auto& [kind, names] : names_) record[kind == "audio" ? "audios" : kind + "s"] = names;
  }

 private:
  Json message(const SampleTurn& turn) {
    Json out{{"role", turn.role}, {"content", content(turn)}};
    if (!turn.reasoning.empty()) out["reasoning_content"] = turn.reasoning;
    if (!turn.tool_calls.empty()) out["tool_calls"] = calls(turn);
    if (!turn.more.empty()) out.update(Json::parse(turn.more));
    if (turn.role == "assistant" && !turn.trained) out["loss"] = false;
    if (!turn.label.empty()) out["label"] = turn.label;
    return out;
  }
  Json calls(const SampleTurn& turn) const {
    auto out = Json::parse(turn.tool_calls);
    for (auto& call : out) {
      auto& function = call.contains("function") ? call["function"] : call;
      if (form_.uniform) function["arguments"] = function["arguments"].dump();
    }
    return out;
  }
  Json content(const SampleTurn& turn) {
    if (turn.parts.empty() && !turn.tool_calls.empty()) return nullptr;
    auto out = Json::array();
    for (const auto& part : turn.parts)
      out.push_back(part.media < 0 ? Json{{"type", "text"}, {"text", part.text}}
                                   : medium(static_cast<size_t>(part.media)));
    if (form_.uniform || (form_.listed && !sample_.media.empty())) return out;  // marks in texts stay texts
    if (turn.parts.empty()) return "";
    return turn.parts.size() == 1 && turn.parts[0].media < 0 ? Json(turn.parts[0].text) : out;
  }
  Json medium(size_t index) {
    const auto& ref = sample_.media.at(index);
    const std::string kind(to_string(ref.modality));
    Json out{{"type", kind}};
    if (form_.listed && ref.stream.empty())
      names_[kind].push_back(name_of_(index));
    else
      out[kind] = name_of_(index);
    if (!ref.stream.empty()) out["stream"] = ref.stream;
    if (is_piece(ref)) out["offset"] = ref.begin;
    if (std::isfinite(ref.seconds)) out["duration"] = ref.seconds;
    return out;
  }
  const Sample& sample_;
  const MediaName& name_of_;
  Form form_;
  std::map<std::string, std::vector<std::string>> names_;  // by their kind
};

Json record_of(const Sample& sample, const Target& target) {
  Writer writer(sample, target.name_of, {target.table, target.table});
  auto record = begun(sample);
  record["messages"] = writer.messages(sample.turns);
  for (const auto& one : sample.candidates) record["candidates"].push_back(writer.candidate(one));
  writer.put_lists(record);
  put_tools(sample, target, record);
  return record;
}

}  // namespace

Json to_record(const Sample& sample, const Target& target) {
  check_channels(sample, "messages");
  return record_of(sample, target);
}

Json to_pair(const Sample& sample, const Target& target) {
  constexpr const char* kName = "preference";
  check_channels(sample, kName);
  const auto plain = [](const Candidate& one) { return std::isnan(one.value) && one.media.empty(); };
  if (sample.candidates.size() != 2) refuse(kName, "anything but two answers to one prompt");
  if (!std::ranges::all_of(sample.candidates, plain)) refuse(kName, "answers with scores or media of their own");
  Writer writer(sample, target.name_of, {true, target.table});
  auto record = begun(sample);
  record["prompt"] = writer.messages(sample.turns);
  record["chosen"] = writer.messages(sample.candidates[0].turns);
  record["rejected"] = writer.messages(sample.candidates[1].turns);
  writer.put_lists(record);
  put_tools(sample, target, record);
  return record;
}

std::string said_by(const Sample& sample) {
  auto text = record_of(sample, {[](size_t index) { return std::to_string(index); }}).dump();
  for (const auto& ref : sample.media)
    text += fmt::format(" {:.6f}+{:.6f} {}", ref.begin, ref.seconds, ref.channel.value_or(-1));
  return text;
}

}  // namespace antiphon::data
