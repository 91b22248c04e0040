// {"instruction", "input"?, "output", "system"?, "history"?: [[QUESTION, ANSWER], …], "images"?, "tools"?}, or with
// "query" and "response" in place of "instruction" and "output".
//
// The question is the instruction, a line end and the input, as LLaMA-Factory and ms-swift have it; the chat template
// does the rest. Sources: Stanford Alpaca, README.md (Data Release); LLaMA-Factory, data/README.md (alpaca format);
// ms-swift, docs/source_en/Customization/Custom-dataset.md (query and response).
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/component/record/turns.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::alpaca {
namespace {

using records::Json;
using records::Record;

bool has_text(const Json& record, const std::string& key) {
  const auto it = record.find(key);
  return it != record.end() && it->is_string();
}

bool is_instruction(const Json& record) { return has_text(record, "instruction") && has_text(record, "output"); }
bool is_query(const Json& record) { return has_text(record, "query") && has_text(record, "response"); }

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

std::string question_of(const Json& object) {
  const auto& instruction = records::text_of(object, is_instruction(object) ? "instruction" : "query", "the record");
  if (!records::is_there(object, "input")) return instruction;
  const auto& input = records::text_of(object, "input", "the record");
  return instruction.empty() || input.empty() ? instruction + input : instruction + "\n" + input;
}

}  // namespace

class Alpaca : public RecordFormat {
 public:
  std::string expects() const override { return "texts 'instruction' and 'output', or 'query' and 'response'"; }
  bool recognises(const Json& record) const override { return is_instruction(record) || is_query(record); }
  std::set<std::string> keys() const override {
    auto keys = records::keys_beside_turns();
    keys.insert({"instruction", "input", "output", "query", "response", "history", "tools"});
    return keys;
  }
  Sample read(const Json& object, const MediaFolder& folder) const override {
    if (is_instruction(object) == is_query(object))
      fail(ErrorKind::data, fmt::format("the record has {} texts 'instruction' and 'output', {} 'query' and 'response'",
                                        is_query(object) ? "both" : "neither", is_query(object) ? "and" : "nor"));
    Record record(object, folder);
    read_history(record);
    add_turn("user", question_of(object), record);
    add_turn("assistant", records::text_of(object, is_instruction(object) ? "output" : "response", "the record"),
             record);
    record.media.place_unmarked(record.sample);
    records::read_system(record);
    records::read_tools(record);
    return finished(std::move(record));
  }
};

}  // namespace antiphon::alpaca

ANTIPHON_PLUGIN(alpaca, "0.1.0") {
  antiphon::register_component<antiphon::RecordFormat, antiphon::alpaca::Alpaca>(
      registrar, "alpaca", "an instruction and its output, as Alpaca has it, or a query and its response");
}
