// {"conversations": [{"from": "human" | "gpt" | "system" | "function_call" | "observation", "value": "… <image> …"}],
// "image"?: PATH or [PATH…], "tools"?: JSON or a text that holds it}
//
// The k-th mark in what a human says takes the k-th path of its kind; a line end right after a mark is not part of the
// text. Sources: LLaVA, docs/Finetune_Custom_Data.md and llava/train/train.py (preprocess_multimodal);
// LLaMA-Factory, data/README.md (sharegpt format).
#include <antiphon/component/record/turns.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::conversations {

using records::Json;

class Conversations : public RecordFormat {
 public:
  std::string expects() const override { return "a list 'conversations'"; }
  bool recognises(const Json& record) const override {
    return records::has_turns(record, "conversations", "from", "gpt") && !records::has_typed_turns(record);
  }
  std::set<std::string> keys() const override {
    auto keys = records::keys_beside_turns();
    keys.insert({"conversations", "tools"}), keys.merge(records::answer_keys());
    return keys;
  }
  Sample read(const Json& object, const MediaFolder& folder) const override {
    records::Record record(object, folder);
    records::read_conversations(record);
    records::read_tools(record);
    return finished(std::move(record));
  }
};

}  // namespace antiphon::conversations

ANTIPHON_PLUGIN(conversations, "0.1.0") {
  antiphon::register_component<antiphon::RecordFormat, antiphon::conversations::Conversations>(
      registrar, "conversations", "a list of turns with from and value, as LLaVA and ShareGPT have it");
}
