// {"id", "start", "duration", "recording": {"sources": [{"type": "file", "source": PATH}], …}, "supervisions":
// [{"text", "start", …}], "custom"?: {"context" or "question", "answer"}, "type": "MonoCut"}
//
// What is said are the texts of the supervisions in the order of time. Sources: Lhotse, docs/cuts.rst and
// docs/shar.rst; lhotse/cut/data.py, lhotse/shar/writers/shar.py; NeMo, docs/source/speechlm2/datasets.rst (context and
// answer).
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/component/record/record_keys.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

#include "recording.h"

#include <algorithm>

namespace antiphon::lhotse_cut {
namespace {

using records::is_there;
using records::Json;
using records::Record;

struct LhotseOptions {
  std::string question = "Transcribe the audio.";
};

const config::Table<LhotseOptions>& lhotse_table() {
  using O = LhotseOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("lhotse_cut")
          .field("question", &O::question, "what is asked of cuts whose 'custom' has no context or question"));
  return *table;
}

double start_of(const Json& supervision) {
  const auto start = supervision.find("start");
  return start != supervision.end() && start->is_number() ? start->get<double>() : 0;
}

std::string words_of(const Json& cut) {
  const auto list = cut.find("supervisions");
  if (list == cut.end() || !list->is_array() || list->empty())
    fail(ErrorKind::data, "the cut has no supervisions, and no answer in 'custom'");
  std::vector<const Json*> in_time;
  for (const auto& one : *list) {
    if (!one.is_object()) fail(ErrorKind::data, "an element of 'supervisions' is not an object");
    in_time.push_back(&one);
  }
  std::ranges::stable_sort(in_time, {}, [](const Json* one) { return start_of(*one); });
  std::string words;
  for (const auto* one : in_time) {
    const auto& text = records::text_of(*one, "text", "a supervision");
    words += (words.empty() || text.empty() ? "" : " ") + text;
  }
  return words;
}

// The text under the first key that "custom" has; nullptr if it has none.
const std::string* custom_text(const Json& cut, std::initializer_list<const char*> keys) {
  if (!is_there(cut, "custom")) return nullptr;
  for (const char* key : keys)
    if (is_there(cut.at("custom"), key)) return &records::text_of(cut.at("custom"), key, "'custom'");
  return nullptr;
}

}  // namespace

class LhotseCut : public RecordFormat {
 public:
  explicit LhotseCut(const LhotseOptions& options) : question_(options.question) {}
  std::string expects() const override { return "a 'recording' with 'supervisions'"; }
  bool recognises(const Json& record) const override {
    return is_there(record, "supervisions") && is_there(record, "start") && is_there(record, "duration");
  }
  std::set<std::string> keys() const override {
    return {"start", "duration", "channel", "supervisions", "recording", "features", "custom", "type"};
  }
  Sample read(const Json& object, const MediaFolder& folder) const override {
    Record record(object, folder);
    if (is_there(object, "custom")) {
      if (!object.at("custom").is_object()) fail(ErrorKind::data, "'custom' is not an object");
      const std::set<std::string> known{"context", "question", "answer"};
      records::check_keys(object.at("custom"), known, "custom: ", record.sample.unread);
      for (const auto& [key, value] : object.at("custom").items())
        if (value.is_string() && !known.contains(key)) record.sample.tags[key] = value.get<std::string>();
    }
    const auto* question = custom_text(object, {"context", "question"});
    const auto* answer = custom_text(object, {"answer"});
    SampleTurn asked{"user", {{{}, add_recording(record, folder)}}};
    if (const auto& text = question ? *question : question_; !text.empty()) asked.parts.push_back({text});
    record.sample.turns = {asked, {"assistant", {{answer ? *answer : words_of(object)}}}};
    return finished(std::move(record));
  }

 private:
  std::string question_;
};

}  // namespace antiphon::lhotse_cut

ANTIPHON_PLUGIN(lhotse_cut, "0.1.0") {
  using namespace antiphon::lhotse_cut;
  antiphon::register_component<antiphon::RecordFormat, LhotseCut>(
      registrar, "lhotse_cut", "a piece of a recording with what is said in it, as Lhotse's cuts are", lhotse_table());
}
