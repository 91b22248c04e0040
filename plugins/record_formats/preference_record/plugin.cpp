// Several answers to one prompt, which an objective compares; the preferred one comes first.
//   {"prompt", "chosen", "rejected"}: texts, or lists of messages; without a prompt, the messages that both begin with
//   are it
//   {"messages" or "conversations", "candidates": [{"content" or "messages", "score" or "label", "media": {"0": PATH}},
//   …]}
// Sources: TRL, docs/source/dataset_formats.md (preference); the list is our own, for any number of answers, values and
// other media.
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

#include "answers.h"

namespace antiphon::preference_record {
namespace {

std::string shown_by(const MediaRef& ref) {
  return fmt::format("\1{} {} {}\1", ref.bytes.key(), ref.begin, ref.seconds);
}

// All that a turn says, thoughts, calls and media too, whatever form the record gives it.
std::string said(const std::vector<SampleTurn>& turns, const Sample& sample) {
  std::string all;
  for (const auto& turn : turns) {
    all += fmt::format("{}\n{}\n{}\n{}\n", turn.role, turn.reasoning, turn.tool_calls, turn.more);
    for (const auto& part : turn.parts)
      all += part.media < 0 ? part.text : shown_by(sample.media.at(static_cast<size_t>(part.media)));
    all += '\0';
  }
  return all;
}

bool say_the_same(const Candidate& a, const Candidate& b, const Sample& sample) {
  return said(a.turns, sample) == said(b.turns, sample) && a.media.empty() && b.media.empty();
}

void check_candidates(const Sample& sample) {
  const auto& all = sample.candidates;
  for (const auto& candidate : all)
    if (candidate.turns.empty() || candidate.turns.back().role != "assistant")
      fail(ErrorKind::data, "a candidate does not end with what the assistant says");
  for (size_t i = 0; i < all.size(); ++i)
    for (size_t j = i + 1; j < all.size(); ++j)
      if (say_the_same(all[i], all[j], sample))
        fail(ErrorKind::data, "two candidates say the same with the same media");
  for (size_t i = 1; i < all.size(); ++i)
    if (all[i].value > all.front().value)
      fail(ErrorKind::data, "a candidate has a larger score than the first, which is taken to be the preferred one",
           "put the best answer first");
  if (!sample.turns.empty() && sample.turns.back().role == "assistant")
    fail(ErrorKind::data, "the turns before the candidates end with the assistant", "end them with a user's turn");
}

}  // namespace

class Preference : public RecordFormat {
 public:
  std::string expects() const override { return "'chosen' and 'rejected', or a list 'candidates' of answers"; }
  bool recognises(const Json& record) const override { return is_pair(record) || records::has_answers(record); }
  bool compares() const override { return true; }
  std::set<std::string> keys() const override {
    auto keys = records::keys_beside_turns();
    keys.insert({"messages", "conversations", "tools"}), keys.merge(records::answer_keys());
    return keys;
  }
  // Turns beside a pair are another reading of the record (ultrafeedback has them).
  Sample read(const Json& object, const MediaFolder& folder) const override {
    Record record(object, folder);
    if (is_pair(object)) {
      read_pair(record);
      read_system(record);
    } else {
      is_there(object, "conversations") ? read_conversations(record) : read_messages(record);
      read_candidates(record);
    }
    read_tools(record);
    check_candidates(record.sample);
    return finished(std::move(record));
  }
};

}  // namespace antiphon::preference_record

ANTIPHON_PLUGIN(preference_record, "0.1.0") {
  antiphon::register_component<antiphon::RecordFormat, antiphon::preference_record::Preference>(
      registrar, "preference", "several answers to one prompt, as TRL has it, or a list of candidates");
}
