// {"messages": [{"role", "content": "…" or [{"type": "text", "text"}, {"type": "image", "image": PATH}, …]}],
// "images"?: …}
//
// OpenAI's layout, with paths and data: URLs; ms-swift's and LLaMA-Factory's, with media listed beside the turns: the
// k-th mark (<image>, …) in what users say takes the k-th of its kind, and they go before the first question if there
// is no mark. Sources: OpenAI, api-reference/chat; ms-swift, docs/source_en/Customization/Custom-dataset.md;
// LLaMA-Factory, data/README.md (sharegpt format).
#include <antiphon/component/record/turns.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::messages {

using records::Json;

class Messages : public RecordFormat {
 public:
  std::string expects() const override { return "a list 'messages'"; }
  bool recognises(const Json& record) const override {
    return records::has_turns(record, "messages", "role", "assistant");
  }
  std::set<std::string> keys() const override {
    auto keys = records::keys_beside_turns();
    keys.insert({"messages", "tools"}), keys.merge(records::answer_keys());
    return keys;
  }
  Sample read(const Json& object, const MediaFolder& folder) const override {
    records::Record record(object, folder);
    records::read_messages(record);
    records::read_tools(record);
    return finished(std::move(record));
  }
};

}  // namespace antiphon::messages

ANTIPHON_PLUGIN(messages, "0.1.0") {
  antiphon::register_component<antiphon::RecordFormat, antiphon::messages::Messages>(
      registrar, "messages",
      "a list of messages with roles, as OpenAI, ms-swift, LLaMA-Factory and transformers have it");
}
