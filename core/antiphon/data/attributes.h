// What is known of an answer, such as how helpful it is, told to the model before it writes it: [data.attributes].
// Source: SteerLM (arXiv 2310.05344); NeMo's GPTSFTChatDataset, whose type VALUE_TO_TEXT opens an answer with it.
#pragma once
#include <map>
#include <string>
#include <vector>

#include <antiphon/component/sample.h>
#include <antiphon/config/schema.h>

namespace antiphon::data {

struct AttributeOptions {
  std::vector<std::string> names;   // all that there are, in the order in which they are told; none: nothing is told
  std::string place = "assistant";  // or "user", "system": whose turn they are told in
};
const config::Table<AttributeOptions>& attributes_table();
void check_attributes(const AttributeOptions& options, config::Problems& problems);
// generate.attributes: a table of names that data.attributes has and numbers.
void check_asked(const AttributeOptions& options, const config::Value& asked, config::Problems& problems);

class Attributes {
 public:
  // `asked`: those of answers that are to be written, see check_asked(). Error(config) for what that refuses.
  explicit Attributes(const AttributeOptions& options, const config::Value& asked = config::Value::Table{});
  bool any() const { return !options_.names.empty(); }
  // "quality:4,toxicity:0": what answers that are to be written are asked for; empty: nothing.
  const std::string& asked() const { return asked_; }
  // A label (SampleTurn::label) as it is told: its numbers in the order of the names, without those that are -100
  // (NeMo's mark of a missing one). Error(data) for a text that is not a label, and for other names than these.
  std::string told(const std::string& label) const;
  // Tells the labels of all answers: a line that opens the answer (SampleTurn::given), or the last line of the last
  // user turn before it or of the system turn, which is added if there is none. Error(data) if one turn would tell two.
  void tell(std::vector<SampleTurn>& turns) const;
  // "attributes quality, toxicity of the assistant"; empty without any.
  std::string describe() const;

 private:
  AttributeOptions options_;
  std::string asked_;
};

}  // namespace antiphon::data
