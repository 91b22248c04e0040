// Llama and its relatives (Touvron et al. 2023; transformers: models/llama): options for nn/decoder.
#include <antiphon/backbone/decoder_lm.h>
#include <antiphon/component/language_model.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::llama {

struct LlamaOptions : backbone::DecoderLmOptions {
  bool attention_bias = false, mlp_bias = false;

  void read_pretrained(const PretrainedConfig& pretrained);
};

const config::Table<LlamaOptions>& llama_table() {
  using O = LlamaOptions;
  static const auto* table =
      new config::Table<O>(backbone::decoder_lm_table<O>("llama")
                               .field("attention_bias", &O::attention_bias, "biases in q, k, v and o projections")
                               .field("mlp_bias", &O::mlp_bias, "biases in the MLP"));
  return *table;
}

void LlamaOptions::read_pretrained(const PretrainedConfig& pretrained) {
  // The last ones are of SmolVLM2's text_config.
  static const auto* keys = new ForeignKeys{
      .options = {{"attention_bias", "attention_bias"}, {"mlp_bias", "mlp_bias"}},
      .fixed = {{"partial_rotary_factor", {1}}, {"qk_layer_norms", {false}}, {"use_resampler", {false}}},
      .training = {"neftune_noise_alpha"},
      .other = {"perceiver_config", "pixel_shuffle_factor"}};
  backbone::read_decoder_config(pretrained, {.plugin = "llama", .model_type = "llama", .hidden_act = "silu"}, *keys,
                                llama_table(), *this);
  check_fixed(backbone::rope_table(pretrained.config), {"partial_rotary_factor", {1}});
}

nn::DecoderOptions decoder(const LlamaOptions& options) {
  auto decoder = options.decoder();
  decoder.qkv_bias = decoder.output_bias = options.attention_bias;
  decoder.mlp_bias = options.mlp_bias;
  return decoder;
}

class Llama : public backbone::DecoderLm {
 public:
  explicit Llama(const LlamaOptions& options) : DecoderLm(decoder(options)) {}
};

}  // namespace antiphon::llama

ANTIPHON_PLUGIN(llama, "0.1.0") {
  using namespace antiphon::llama;
  antiphon::register_component<antiphon::LanguageModel, Llama>(registrar, "llama", "Llama 2, 3.x and SmolLM decoders",
                                                               llama_table());
}
