// {"audio_filepath": PATH or [PATH…], "offset"?, "duration"?, "text" or "answer", "context" or "question"?, "lang"?, …}
// {"conversations": [{"from": "User" | "Assistant", "type": "text" | "audio" | "image" | "video", "value",
// "offset"?, "duration"?}]}
//
// Recordings come first, then the question, unless it holds marks for them. Turns of one speaker in a row are one turn.
// Sources: NeMo, docs/source/asr/datasets.rst (manifest format) and
// nemo/collections/common/data/lhotse/text_adapters.py (NeMoMultimodalConversation).
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>
#include <antiphon/component/record/pieces.h>
#include <antiphon/component/record/record_keys.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

#include "questions.h"
#include "recordings.h"

namespace antiphon::nemo_manifest {
namespace {

const config::Table<NemoOptions>& nemo_table() {
  using O = NemoOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("nemo_manifest")
          .field("context", &O::context, "the question of records that have none")
          .field("context_file", &O::context_file,
                 "a file of questions, one a line, of which a record without one takes one, drawn anew in each epoch "
                 "of training")
          .field("context_key", &O::context_key, "the key of the question; empty: context, else question")
          .field("answer_key", &O::answer_key, "the key of the answer; empty: answer, else text")
          .field("audio_mark", &O::audio_mark,
                 "the text in a question that stands for a recording; empty: recordings come before the question"));
  return *table;
}

std::string role_of(const std::string& from) {
  if (from == "User" || from == "user") return "user";
  return from == "Assistant" || from == "assistant" ? "assistant" : from;
}

// The question, with the k-th recording in the place of the k-th mark.
void place(std::string_view question, std::string_view mark, const std::vector<int64_t>& recordings, SampleTurn& turn) {
  size_t marks = 0;
  for (auto at = question.find(mark); !mark.empty() && at != std::string_view::npos; at = question.find(mark)) {
    if (marks == recordings.size())
      fail(ErrorKind::data,
           fmt::format("the question has more marks '{}' than there are recordings ({})", mark, marks));
    if (at > 0) turn.parts.push_back({std::string(question.substr(0, at))});
    turn.parts.push_back({{}, recordings[marks++]});
    question.remove_prefix(at + mark.size());
  }
  if (marks > 0 && marks < recordings.size())
    fail(ErrorKind::data, fmt::format("{} recordings are named but the question marks {}", recordings.size(), marks));
  for (size_t k = marks; k < recordings.size(); ++k) turn.parts.push_back({{}, recordings[k]});
  if (!question.empty()) turn.parts.push_back({std::string(question)});
}

void read_turn(const Json& object, Record& record) {
  if (!object.is_object()) fail(ErrorKind::data, "an element of 'conversations' is not an object");
  const auto& type = records::text_of(object, "type", "a conversation turn");
  records::check_keys(object, {"from", "value", "type", "offset", "duration"}, "conversations: ", record.sample.unread);
  const auto modality = records::modality_of(type);
  if (type != "text" && !modality)
    fail(ErrorKind::data, fmt::format("a turn has the type '{}'; expected text, audio, image or video", shown(type)));
  if (modality == Modality::video) records::check_whole_video(object);
  const auto role = role_of(records::text_of(object, "from", "a conversation turn"));
  auto& turns = record.sample.turns;
  auto& turn = !turns.empty() && turns.back().role == role ? turns.back() : turns.emplace_back(SampleTurn{role, {}});
  const auto& value = records::text_of(object, "value", "a conversation turn");
  if (!modality)
    turn.parts.push_back({value});
  else if (modality == Modality::audio)
    turn.parts.push_back({{}, recording_in(object, record)});
  else
    turn.parts.push_back({{}, record.media.add(record.sample, *modality, value)});
}

}  // namespace

class NemoManifest : public RecordFormat {
 public:
  explicit NemoManifest(const NemoOptions& options) : questions_(options), mark_(options.audio_mark) {}
  std::string expects() const override {
    return "a path 'audio_filepath', or a list 'conversations' whose turns have a type";
  }
  bool recognises(const Json& record) const override {
    return records::is_there(record, "audio_filepath") || records::has_typed_turns(record);
  }
  std::set<std::string> keys() const override {
    std::set<std::string> keys{"audio_filepath", "offset", "duration", "conversations", "system", "shard_id"};
    keys.insert(questions_.question_keys().begin(), questions_.question_keys().end());
    keys.insert(questions_.answer_keys().begin(), questions_.answer_keys().end());
    return keys;
  }
  std::string fingerprint() const override { return questions_.fingerprint(); }
  Sample read(const Json& object, const MediaFolder& folder) const override {
    Record record(object, folder);
    if (!records::is_there(object, "conversations"))
      read_single(record, folder.draw);
    else if (records::is_there(object, "audio_filepath"))
      fail(ErrorKind::data, "the record has both 'audio_filepath' and 'conversations'");
    else
      read_talk(record);
    records::read_system(record);
    return finished(std::move(record));
  }

 private:
  void read_single(Record& record, uint64_t draw) const {
    SampleTurn question{"user", {}};
    place(questions_.question_of(record.object, draw), mark_, recordings_of(record), question);
    record.sample.turns = {question, {"assistant", {{questions_.answer_of(record.object)}}}};
  }
  static void read_talk(Record& record) {
    const auto& turns = record.object.at("conversations");
    if (!turns.is_array()) fail(ErrorKind::data, "'conversations' is not a list of turns");
    for (const auto& turn : turns) read_turn(turn, record);
  }
  Questions questions_;
  std::string mark_;
};

}  // namespace antiphon::nemo_manifest

ANTIPHON_PLUGIN(nemo_manifest, "0.1.0") {
  using namespace antiphon::nemo_manifest;
  antiphon::register_component<antiphon::RecordFormat, NemoManifest>(
      registrar, "nemo_manifest", "a recording with its text, or a question about it and an answer, as NeMo has it",
      nemo_table());
}
