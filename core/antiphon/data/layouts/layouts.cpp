#include <antiphon/data/layouts/layouts.h>

#include <fmt/format.h>

#include <antiphon/data/layouts/layout_parts.h>
#include <antiphon/data/layouts/lhotse_layout.h>
#include <antiphon/data/layouts/sample_json.h>

#include <cmath>
#include <map>

namespace antiphon::data {
namespace {

using Json = nlohmann::ordered_json;

// The texts of turns with a mark in the place of each medium, whose names are listed beside them.
class Marked {
 public:
  Marked(const Sample& sample, const Target& target) : sample_(sample), target_(target) {}

  // `line_end`: behind a mark that text follows (LLaVA).
  std::string text(const SampleTurn& turn, bool line_end) {
    std::string out;
    for (size_t i = 0; i < turn.parts.size(); ++i) {
      const auto& part = turn.parts[i];
      if (part.media < 0) {
        out += part.text;
        continue;
      }
      const auto index = static_cast<size_t>(part.media);
      const std::string kind(to_string(sample_.media.at(index).modality));
      names_[kind].push_back(target_.name_of(index));
      const bool followed = i + 1 < turn.parts.size() && turn.parts[i + 1].media < 0;
      out += "<" + kind + ">" + (line_end && followed ? "\n" : "");
    }
    return out;
  }

  // "image" for one, "images" for several, and in tables.
  void put_names(Json& record) const {
    for (const auto& [kind, names] : names_)
      if (names.size() == 1 && !target_.table)
        record[kind] = names.front();
      else
        record[kind == "audio" ? "audios" : kind + "s"] = names;
  }

 private:
  const Sample& sample_;
  const Target& target_;
  std::map<std::string, std::vector<std::string>> names_;
};

// {"name", "arguments"} of each.
Json bare_calls(const SampleTurn& turn) {
  auto calls = Json::array();
  for (const auto& call : Json::parse(turn.tool_calls)) {
    if (call.size() != 2 || !call.contains("function") || call.value("type", "") != "function")
      refuse("conversations", "calls of tools with ids");
    calls.push_back(call.at("function"));
  }
  return calls;
}

// Calls of tools are turns of their own, as LLaMA-Factory has them.
Json conversations(const Sample& sample, const Target& target) {
  constexpr const char* kName = "conversations";
  check_plain(kName, sample, /*tools=*/false), check_whole(sample, kName);
  static const std::map<std::string, const char*> speakers{
      {"user", "human"}, {"assistant", "gpt"}, {"system", "system"}, {"tool", "observation"}};
  Marked marked(sample, target);
  auto record = begun(sample), turns = Json::array();
  const auto add = [&](const char* from, const std::string& value, const SampleTurn& turn) {
    turns.push_back({{"from", from}, {"value", value}});
    if (!turn.trained) turns.back()["loss"] = false;
  };
  for (const auto& turn : sample.turns) {
    if (!turn.parts.empty() || turn.tool_calls.empty()) add(speakers.at(turn.role), marked.text(turn, true), turn);
    if (!turn.tool_calls.empty()) add("function_call", bare_calls(turn).dump(), turn);
  }
  marked.put_names(record);
  record["conversations"] = std::move(turns);
  put_tools(sample, target, record);
  return record;
}

// What is asked and answered, in turn; a system turn before that becomes the record's "system".
std::vector<std::string> in_turn(const char* layout, const Sample& sample, Marked& marked, Json& record) {
  check_plain(layout, sample), check_whole(sample, layout);
  std::vector<std::string> texts;
  for (const auto& turn : sample.turns) {
    if (!turn.trained) refuse(layout, "an answer that is not supervised");
    if (turn.role == "system") {
      if (turn.parts.size() != 1 || !texts.empty() || record.contains("system")) refuse(layout, "such system turns");
      record["system"] = turn.parts.front().text;
      continue;
    }
    if (turn.role != (texts.size() % 2 == 0 ? "user" : "assistant"))
      refuse(layout, "turns that are not questions and answers in turn");
    texts.push_back(marked.text(turn, false));
  }
  if (texts.empty() || texts.size() % 2 != 0) refuse(layout, "a question without an answer");
  marked.put_names(record);
  return texts;
}

// The last question and its answer; those before as "history".
Json alpaca(const Sample& sample, const Target& target) {
  Marked marked(sample, target);
  auto record = begun(sample);
  const auto texts = in_turn("alpaca", sample, marked, record);
  for (size_t i = 0; i + 2 < texts.size(); i += 2) record["history"].push_back({texts[i], texts[i + 1]});
  record["instruction"] = texts[texts.size() - 2], record["output"] = texts.back();
  put_tools(sample, target, record);
  return record;
}

// Media with questions and their answers; of one question a list of one answer (Energon).
Json captioned(const Sample& sample, const Target& target) {
  if (sample.media.empty()) refuse("captioned", "a sample without media");
  if (!sample.tools.empty()) refuse("captioned", "descriptions of tools");
  Marked marked(sample, target);
  auto record = begun(sample), questions = Json::array(), answers = Json::array();
  const auto texts = in_turn("captioned", sample, marked, record);
  for (size_t i = 0; i < texts.size(); ++i) (i % 2 == 0 ? questions : answers).push_back(texts[i]);
  record["context"] = questions.size() == 1 && !target.table ? questions.front() : questions;
  record["answers"] = std::move(answers);
  return record;
}

// A document: a text or a picture at each place (OBELICS).
Json interleaved(const Sample& sample, const Target& target) {
  check_whole(sample, "interleaved");
  if (sample.turns.size() != 1 || sample.turns[0].role != "document" || !sample.tools.empty())
    refuse("interleaved", "anything but one document");
  auto record = begun(sample), texts = Json::array(), pictures = Json::array();
  for (const auto& part : sample.turns[0].parts) {
    if (part.media < 0) {
      texts.push_back(part.text), pictures.push_back(nullptr);
      continue;
    }
    const auto& ref = sample.media.at(static_cast<size_t>(part.media));
    if (ref.modality != Modality::image || !ref.stream.empty())
      refuse("interleaved", "media other than pictures, or of a stream that is named");
    texts.push_back(nullptr), pictures.push_back(target.name_of(static_cast<size_t>(part.media)));
  }
  record["texts"] = std::move(texts), record["images"] = std::move(pictures);
  return record;
}

// One question with recordings before it, pieces too, and its answer.
void put_question(const Sample& sample, const SpokenQuestion& found, const Target& target, Json& record) {
  auto files = Json::array(), begins = Json::array(), lengths = Json::array();
  for (const auto index : found.recordings) {
    const auto& ref = sample.media.at(index);
    files.push_back(target.name_of(index));
    begins.push_back(ref.begin), lengths.push_back(std::isfinite(ref.seconds) ? Json(ref.seconds) : Json());
  }
  const auto put = [&](const char* key, const Json& values) {
    record[key] = values.size() == 1 && !target.table ? values.front() : values;
  };
  put("audio_filepath", files), put("offset", begins), put("duration", lengths);
  record["context"] = found.question, record["text"] = found.answer;
}

// Turns with a type, one for each part.
Json spoken_turns(const Sample& sample, size_t begin, const Target& target) {
  auto turns = Json::array();
  for (auto turn = sample.turns.begin() + static_cast<long>(begin); turn != sample.turns.end(); ++turn) {
    if ((turn->role != "user" && turn->role != "assistant") || !turn->trained)
      refuse("nemo_manifest", "turns but those of user and assistant, all of which are learnt");
    for (const auto& part : turn->parts) {
      Json one{{"from", turn->role == "user" ? "User" : "Assistant"}};
      if (part.media < 0) {
        one["type"] = "text", one["value"] = part.text;
      } else {
        const auto index = static_cast<size_t>(part.media);
        const auto& ref = sample.media.at(index);
        one["type"] = "audio", one["value"] = target.name_of(index), one["offset"] = ref.begin;
        if (std::isfinite(ref.seconds)) one["duration"] = ref.seconds;
      }
      turns.push_back(std::move(one));
    }
  }
  return turns;
}

Json nemo_manifest(const Sample& sample, const Target& target) {
  constexpr const char* kName = "nemo_manifest";
  check_plain(kName, sample);
  for (const auto& ref : sample.media) {
    if (ref.modality != Modality::audio) refuse(kName, "media other than recordings");
    if (ref.channel) refuse(kName, "one channel of a recording");
  }
  if (sample.media.empty() || !sample.tools.empty()) refuse(kName, "a sample without a recording, or with tools");
  auto record = begun(sample);
  const auto& first = sample.turns.front();
  const bool system = first.role == "system" && first.parts.size() == 1;
  if (system) record["system"] = first.parts.front().text;
  if (const auto found = spoken_question(sample, system ? 1 : 0))
    put_question(sample, *found, target, record);
  else
    record["conversations"] = spoken_turns(sample, system ? 1 : 0, target);
  return record;
}

}  // namespace

const std::vector<Layout>& layouts() {
  static const auto* all = new std::vector<Layout>{
      {"messages", to_record},      {"conversations", conversations}, {"alpaca", alpaca}, {"captioned", captioned},
      {"interleaved", interleaved}, {"nemo_manifest", nemo_manifest}, lhotse_layout(),    {"preference", to_pair}};
  return *all;
}

}  // namespace antiphon::data
