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
Json alpaca(const Sample& sample, const MediaName& name_of) {
  Marked marked(sample, name_of);
  auto record = begun(sample);
  const auto texts = in_turn("alpaca", sample, marked, record);
  for (size_t i = 0; i + 2 < texts.size(); i += 2) record["history"].push_back({texts[i], texts[i + 1]});
  record["instruction"] = texts[texts.size() - 2], record["output"] = texts.back();
  if (!sample.tools.empty()) record["tools"] = Json::parse(sample.tools);
  return record;
}

// Media with questions and their answers; of one question a list of one answer (Energon).
Json captioned(const Sample& sample, const MediaName& name_of) {
  if (sample.media.empty()) refuse("captioned", "a sample without media");
  if (!sample.tools.empty()) refuse("captioned", "descriptions of tools");
  Marked marked(sample, name_of);
  auto record = begun(sample), questions = Json::array(), answers = Json::array();
  const auto texts = in_turn("captioned", sample, marked, record);
  for (size_t i = 0; i < texts.size(); ++i) (i % 2 == 0 ? questions : answers).push_back(texts[i]);
  record["context"] = questions.size() == 1 ? questions.front() : questions;
  record["answers"] = std::move(answers);
  return record;
}

// A document: a text or a picture at each place (OBELICS).
Json interleaved(const Sample& sample, const MediaName& name_of) {
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
    texts.push_back(nullptr), pictures.push_back(name_of(static_cast<size_t>(part.media)));
  }
  record["texts"] = std::move(texts), record["images"] = std::move(pictures);
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
  static const auto* all = new std::vector<Layout>{{"messages", to_record},      {"conversations", conversations},
                                                   {"alpaca", alpaca},           {"captioned", captioned},
                                                   {"interleaved", interleaved}, {"nemo_manifest", nemo_manifest}};
  return *all;
}

}  // namespace antiphon::apps
