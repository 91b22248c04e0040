// {"instruction", "input"?, "output", "system"?, "history"?: [[QUESTION, ANSWER], …], "images"?, "tools"?}, or with
// "query" and "response" or "prompt" and "completion" in place of "instruction" and "output", or with "input" and
// "output" alone. "prompt" and "completion" may also be lists of messages: what the assistant says in the prompt is not
// learnt.
//
// The question is the instruction, a line end and the input, as LLaMA-Factory and ms-swift have it; the chat template
// does the rest. Sources: Stanford Alpaca, README.md (Data Release); LLaMA-Factory, data/README.md (alpaca format);
// ms-swift, docs/source_en/Customization/Custom-dataset.md (query and response); TRL, docs/source/dataset_formats.md
// (prompt and completion); NeMo, GPTSFTDataset (input and output).
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/component/record/turns.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <string_view>

namespace antiphon::alpaca {
namespace {

using records::Json;
using records::Record;

bool has_text(const Json& record, const std::string& key) {
  const auto it = record.find(key);
  return it != record.end() && it->is_string();
}

// Keys of a question and its answer.
struct Pair {
  const char *question, *answer;
};
constexpr Pair kInstruction{"instruction", "output"}, kQuery{"query", "response"}, kPrompt{"prompt", "completion"},
    kInput{"input", "output"};
// Records of these may have an input and an output as well, as metadata.
constexpr std::array kOthers{"instruction", "query",      "messages", "conversations", "audio_filepath",
                             "recording",   "candidates", "chosen",   "text_list",     "texts"};

std::vector<Pair> pairs_in(const Json& record) {
  std::vector<Pair> found;
  const auto has = [&](const Pair& pair) { return has_text(record, pair.question) && has_text(record, pair.answer); };
  for (const auto& pair : {kInstruction, kQuery})
    if (has(pair)) found.push_back(pair);
  // With a "label" it says whether the completion is good, which need not be learnt.
  if (has(kPrompt) && !record.contains("label")) found.push_back(kPrompt);
  const bool other =
      has(kPrompt) || std::ranges::any_of(kOthers, [&](const char* key) { return record.contains(key); });
  if (has(kInput) && !other) found.push_back(kInput);
  return found;
}

// TRL's conversational prompt and completion.
bool is_talk(const Json& record) {
  return records::has_list(record, "prompt") && records::has_list(record, "completion") && !record.contains("label") &&
         pairs_in(record).empty() &&
         std::ranges::none_of(kOthers, [&](const char* key) { return record.contains(key); });
}

void read_talk(Record& record) {
  auto& turns = record.sample.turns;
  turns = records::read_message_list(record.object.at("prompt"), "prompt", record);
  for (auto& turn : turns) turn.trained = turn.role != "assistant";
  auto last = records::read_message_list(record.object.at("completion"), "completion", record);
  std::ranges::move(last, std::back_inserter(turns));
}

void add_turn(const char* role, const std::string& text, Record& record) {
  records::add_text(text, false, record.sample.turns.emplace_back(SampleTurn{role, {}}), record);
}

void read_history(Record& record) {
  if (!records::is_there(record.object, "history")) return;
  const auto& history = record.object.at("history");
  if (!history.is_array()) fail(ErrorKind::data, "'history' is not a list of pairs");
  for (const auto& pair : history) {
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string() || !pair[1].is_string())
      fail(ErrorKind::data, "an element of 'history' is not a pair of texts", "write [\"a question\", \"its answer\"]");
    add_turn("user", pair[0].get_ref<const std::string&>(), record);
    add_turn("assistant", pair[1].get_ref<const std::string&>(), record);
  }
}

std::string question_of(const Json& object, const char* key) {
  const auto& question = records::text_of(object, key, "the record");
  if (std::string_view(key) == "input" || !records::is_there(object, "input")) return question;
  const auto& input = records::text_of(object, "input", "the record");
  return question.empty() || input.empty() ? question + input : question + "\n" + input;
}

}  // namespace

class Alpaca : public RecordFormat {
 public:
  std::string expects() const override {
    return "texts 'instruction' and 'output', 'query' and 'response', 'prompt' and 'completion', or 'input' and "
           "'output'";
  }
  bool recognises(const Json& record) const override { return !pairs_in(record).empty() || is_talk(record); }
  std::set<std::string> keys() const override {
    auto keys = records::keys_beside_turns();
    keys.insert({"instruction", "input", "output", "query", "response", "prompt", "completion", "history", "tools"});
    return keys;
  }
  Sample read(const Json& object, const MediaFolder& folder) const override {
    Record record(object, folder);
    is_talk(object) ? read_talk(record) : read_pair(record);
    record.media.place_unmarked(record.sample);
    records::read_system(record);
    records::read_tools(record);
    return finished(std::move(record));
  }

 private:
  void read_pair(Record& record) const {
    const auto pairs = pairs_in(record.object);
    if (pairs.empty()) fail(ErrorKind::data, "the record has no " + expects());
    if (pairs.size() > 1)
      fail(ErrorKind::data, fmt::format("the record has both texts '{}' and '{}', and '{}' and '{}'", pairs[0].question,
                                        pairs[0].answer, pairs[1].question, pairs[1].answer));
    read_history(record);
    add_turn("user", question_of(record.object, pairs.front().question), record);
    add_turn("assistant", records::text_of(record.object, pairs.front().answer, "the record"), record);
  }
};

}  // namespace antiphon::alpaca

ANTIPHON_PLUGIN(alpaca, "0.1.0") {
  antiphon::register_component<antiphon::RecordFormat, antiphon::alpaca::Alpaca>(
      registrar, "alpaca", "an instruction and its output, as Alpaca has it, or a query and its response");
}
