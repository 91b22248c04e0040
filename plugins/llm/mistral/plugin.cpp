// Mistral (Jiang et al. 2023; transformers: models/mistral): Llama with a sliding window, or without one.
#include <antiphon/backbone/decoder_lm.h>
#include <antiphon/component/language_model.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::mistral {

struct MistralOptions : backbone::DecoderLmOptions {
  int64_t sliding_window = 0;

  MistralOptions() { intermediate_size = 14336, num_kv_heads = 8, max_positions = 4096 * 32; }
  void read_pretrained(const PretrainedConfig& pretrained);
};

const config::Table<MistralOptions>& mistral_table() {
  using O = MistralOptions;
  static const auto* table = new config::Table<O>(backbone::decoder_lm_table<O>("mistral").field(
      "sliding_window", &O::sliding_window, "tokens that a layer sees, the query's own included; 0: all",
      {.min = 0, .max = 1 << 30}));
  return *table;
}

void MistralOptions::read_pretrained(const PretrainedConfig& pretrained) {
  const auto& json = pretrained.config;
  const auto is_null = [&](const char* key) { return json.json().contains(key) && !json.find(key); };
  sliding_window = is_null("sliding_window") ? 0 : 4096;
  if (is_null("num_key_value_heads")) num_kv_heads = 0;
  static const auto* keys = new ForeignKeys{.options = {{"sliding_window", "sliding_window", 1}},
                                            .fixed = {{"partial_rotary_factor", {1}}},
                                            .other = {"is_composition"}};
  backbone::read_decoder_config(pretrained, {.plugin = "mistral", .model_type = "mistral", .hidden_act = "silu"}, *keys,
                                mistral_table(), *this);
  check_fixed(backbone::rope_table(json), {"partial_rotary_factor", {1}});
}

nn::DecoderOptions decoder(const MistralOptions& options) {
  auto decoder = options.decoder();
  decoder.window = options.sliding_window;
  return decoder;
}

class Mistral : public backbone::DecoderLm {
 public:
  explicit Mistral(const MistralOptions& options) : DecoderLm(decoder(options)) {}
};

}  // namespace antiphon::mistral

ANTIPHON_PLUGIN(mistral, "0.1.0") {
  using namespace antiphon::mistral;
  antiphon::register_component<antiphon::LanguageModel, Mistral>(registrar, "mistral", "Mistral decoders",
                                                                 mistral_table());
}
