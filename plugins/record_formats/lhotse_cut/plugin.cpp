// {"id", "start", "duration", "recording": {"sources": [{"type": "file", "source": PATH}], …}, "supervisions":
// [{"text", "start", …}], "custom"?: {"context" or "question", "answer"}, "type": "MonoCut" or "MultiCut"},
// or {"tracks": [{"cut": such a one or a PaddingCut, "offset", "snr"?, …}], "type": "MixedCut"}
//
// What is said are the texts of the supervisions in the order of time; of a MixedCut those of all tracks that are
// heard, and the "custom" of the first of them. Sources: Lhotse, docs/cuts.rst and docs/shar.rst;
// lhotse/cut/{data,multi,mixed,padding}.py, lhotse/shar/writers/shar.py; NeMo, docs/source/speechlm2/datasets.rst
// (context and answer).
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

// The supervisions of a cut, which begins at `offset`.
void add_supervisions(const HeardCut& heard, std::vector<std::pair<double, const Json*>>& in_time) {
  if (!is_there(heard.cut, "supervisions")) return;
  const auto& list = heard.cut.at("supervisions");
  if (!list.is_array()) fail(ErrorKind::data, "'supervisions' of the cut is not a list");
  for (const auto& one : list) {
    if (!one.is_object()) fail(ErrorKind::data, "an element of 'supervisions' is not an object");
    in_time.emplace_back(heard.offset + start_of(one), &one);
  }
}

std::string words_of(const std::vector<HeardCut>& cuts) {
  std::vector<std::pair<double, const Json*>> in_time;
  for (const auto& heard : cuts) add_supervisions(heard, in_time);
  if (in_time.empty()) fail(ErrorKind::data, "the cut has no supervisions, and no answer in 'custom'");
  std::ranges::stable_sort(in_time, {}, [](const auto& one) { return one.first; });
  std::string words;
  for (const auto& [start, one] : in_time) {
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

void read_custom(const Json& custom, Sample& sample) {
  if (!custom.is_object()) fail(ErrorKind::data, "'custom' is not an object");
  const std::set<std::string> known{"context", "question", "answer"};
  records::check_keys(custom, known, "custom: ", sample.unread);
  for (const auto& [key, value] : custom.items())
    if (value.is_string() && !known.contains(key)) sample.tags[key] = value.get<std::string>();
}

}  // namespace

class LhotseCut : public RecordFormat {
 public:
  explicit LhotseCut(const LhotseOptions& options) : question_(options.question) {}
  std::string expects() const override { return "a 'recording' with 'supervisions', or a MixedCut's 'tracks'"; }
  bool recognises(const Json& record) const override {
    return is_lhotse_type(record) ||
           (is_there(record, "supervisions") && is_there(record, "start") && is_there(record, "duration"));
  }
  std::set<std::string> keys() const override {
    return {"start", "duration", "channel", "supervisions", "recording", "features", "custom", "tracks", "type"};
  }
  Sample read(const Json& object, const MediaFolder& folder) const override {
    Record record(object, folder);
    const auto cuts = heard_cuts(object);
    check_track_keys(object, keys(), record.sample.unread);
    const auto& first = cuts.front().cut;
    if (is_there(first, "custom")) read_custom(first.at("custom"), record.sample);
    const auto* question = custom_text(first, {"context", "question"});
    const auto* answer = custom_text(first, {"answer"});
    SampleTurn asked{"user", {{{}, add_recording(record, folder)}}};
    if (const auto& text = question ? *question : question_; !text.empty()) asked.parts.push_back({text});
    record.sample.turns = {asked, {"assistant", {{answer ? *answer : words_of(cuts)}}}};
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
