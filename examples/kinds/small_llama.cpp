// A language model: the shared decoder with defaults of its own. What it says of a config.json is in plugins/llm.
#include <antiphon/backbone/decoder_lm.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

using namespace antiphon;

struct SmallOptions : backbone::DecoderLmOptions {
  SmallOptions() { vocab_size = 512, hidden_size = 64, intermediate_size = 128, num_layers = 2, num_heads = 4; }
};

const config::Table<SmallOptions>& small_table() {
  static const auto* table = new config::Table<SmallOptions>(backbone::decoder_lm_table<SmallOptions>("small_llama"));
  return *table;
}

class SmallLlama : public backbone::DecoderLm {
 public:
  explicit SmallLlama(const SmallOptions& options) : DecoderLm(options.decoder()) {}
};

ANTIPHON_PLUGIN(small_llama, "0.1.0") {
  register_component<LanguageModel, SmallLlama>(registrar, "small_llama", "a small decoder", small_table());
}
