#include <data/layouts.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <data/sample_json.h>

#include <cmath>
#include <map>

namespace antiphon::apps {
namespace {

using Json = nlohmann::ordered_json;

[[noreturn]] void refuse(const char* layout, const std::string& what) {
  fail(ErrorKind::data, fmt::format("the layout {} cannot hold {}", layout, what), "write it as messages");
}

// Its id and tags.
Json begun(const Sample& sample) {
  auto record = Json::object();
  record["id"] = sample.id;
  for (const auto& [key, value] : sample.tags) record[key] = value;
  return record;
}

// What only messages can hold, but for pieces of recordings.
void check_plain(const char* layout, const Sample& sample) {
  if (!sample.candidates.empty()) refuse(layout, "several answers to one prompt");
  for (const auto& ref : sample.media)
    if (!ref.stream.empty()) refuse(layout, "a medium of a stream that is named");
  for (const auto& turn : sample.turns) {
    if (turn.role == "document") refuse(layout, "a document");
    if (!turn.reasoning.empty()) refuse(layout, "a reasoning_content");
    if (!turn.tool_calls.empty() || !turn.tool.empty()) refuse(layout, "calls of tools");
  }
}

// The texts of turns with a mark in the place of each medium, whose names are listed beside them.
class Marked {
 public:
  Marked(const Sample& sample, const MediaName& name_of) : sample_(sample), name_of_(name_of) {}

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
      names_[kind].push_back(name_of_(index));
      const bool followed = i + 1 < turn.parts.size() && turn.parts[i + 1].media < 0;
      out += "<" + kind + ">" + (line_end && followed ? "\n" : "");
    }
    return out;
  }

  // "image" for one, "images" for several.
  void put_names(Json& record) const {
    for (const auto& [kind, names] : names_)
      if (names.size() == 1)
        record[kind] = names.front();
      else
        record[kind == "audio" ? "audios" : kind + "s"] = names;
  }

 private:
  const Sample& sample_;
  const MediaName& name_of_;
  std::map<std::string, std::vector<std::string>> names_;
};

Json conversations(const Sample& sample, const MediaName& name_of) {
  check_plain("conversations", sample), check_whole(sample, "conversations");
  Marked marked(sample, name_of);
  auto record = begun(sample), turns = Json::array();
  for (const auto& turn : sample.turns) {
    const auto* from = turn.role == "user" ? "human" : turn.role == "assistant" ? "gpt" : "system";
    turns.push_back({{"from", from}, {"value", marked.text(turn, true)}});
    if (!turn.trained) turns.back()["loss"] = false;
  }
  marked.put_names(record);
  record["conversations"] = std::move(turns);
  if (!sample.tools.empty()) record["tools"] = Json::parse(sample.tools);
  return record;
}

// The last question and its answer; those before as "history".
Json alpaca(const Sample& sample, const MediaName& name_of) {
  check_plain("alpaca", sample), check_whole(sample, "alpaca");
  Marked marked(sample, name_of);
  auto record = begun(sample);
  std::vector<std::string> texts;
  for (const auto& turn : sample.turns) {
    if (!turn.trained) refuse("alpaca", "an answer that is not supervised");
    if (turn.role == "system") {
      if (turn.parts.size() != 1 || !texts.empty() || record.contains("system")) refuse("alpaca", "such system turns");
      record["system"] = turn.parts.front().text;
      continue;
    }
    if (turn.role != (texts.size() % 2 == 0 ? "user" : "assistant"))
      refuse("alpaca", "turns that are not questions and answers in turn");
    texts.push_back(marked.text(turn, false));
  }
  if (texts.empty() || texts.size() % 2 != 0) refuse("alpaca", "a question without an answer");
  for (size_t i = 0; i + 2 < texts.size(); i += 2) record["history"].push_back({texts[i], texts[i + 1]});
  marked.put_names(record);
  record["instruction"] = texts[texts.size() - 2], record["output"] = texts.back();
  return record;
}

// One question with recordings before it, pieces too, and its answer.
Json nemo_manifest(const Sample& sample, const MediaName& name_of) {
  check_plain("nemo_manifest", sample);
  const auto& turns = sample.turns;
  const bool fits = turns.size() == 2 && turns[0].role == "user" && turns[1].role == "assistant" && turns[1].trained &&
                    turns[1].parts.size() == 1 && sample.tools.empty() && !turns[0].parts.empty();
  if (!fits) refuse("nemo_manifest", "anything but one question and its answer");
  auto record = begun(sample), files = Json::array(), begins = Json::array(), lengths = Json::array();
  std::string question;
  for (const auto& part : turns[0].parts) {
    if (part.media < 0) {
      question += part.text;
      continue;
    }
    const auto& ref = sample.media.at(static_cast<size_t>(part.media));
    if (ref.modality != Modality::audio || !question.empty())
      refuse("nemo_manifest", "media other than recordings before the question");
    if (ref.channel) refuse("nemo_manifest", "one channel of a recording");
    files.push_back(name_of(static_cast<size_t>(part.media)));
    begins.push_back(ref.begin), lengths.push_back(std::isfinite(ref.seconds) ? Json(ref.seconds) : Json());
  }
  if (files.empty()) refuse("nemo_manifest", "a sample without a recording");
  const auto put = [&](const char* key, const Json& values) {
    record[key] = values.size() == 1 ? values.front() : values;
  };
  put("audio_filepath", files), put("offset", begins), put("duration", lengths);
  record["context"] = question, record["text"] = turns[1].parts.front().text;
  return record;
}

}  // namespace

const std::vector<Layout>& layouts() {
  static const auto* all = new std::vector<Layout>{
      {"messages", to_record}, {"conversations", conversations}, {"alpaca", alpaca}, {"nemo_manifest", nemo_manifest}};
  return *all;
}

}  // namespace antiphon::apps
