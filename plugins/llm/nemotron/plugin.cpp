// Nemotron and Minitron (Parmar et al. 2024; transformers: models/nemotron): LayerNorm with weight + 1, squared ReLU
// without a gate, rotary embedding on a part of each head.
#include <fmt/format.h>

#include <antiphon/backbone/decoder_lm.h>
#include <antiphon/component/language_model.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::nemotron {

struct NemotronOptions : backbone::DecoderLmOptions {
  double partial_rotary_factor = 0.5;
  bool attention_bias = false, mlp_bias = false;

  NemotronOptions() {
    vocab_size = 256000, hidden_size = 6144, intermediate_size = 24576, num_heads = 48, max_positions = 4096;
    norm_eps = 1e-5;
  }
  void read_pretrained(const PretrainedConfig& pretrained);
};

const config::Table<NemotronOptions>& nemotron_table() {
  using O = NemotronOptions;
  static const auto* table =
      new config::Table<O>(backbone::decoder_lm_table<O>("nemotron")
                               .field("partial_rotary_factor", &O::partial_rotary_factor,
                                      "share of each head that is turned", {.min = 0, .max = 1, .above_min = true})
                               .field("attention_bias", &O::attention_bias, "biases in q, k, v and o projections")
                               .field("mlp_bias", &O::mlp_bias, "biases in the MLP"));
  return *table;
}

void NemotronOptions::read_pretrained(const PretrainedConfig& pretrained) {
  static const auto* keys = new ForeignKeys{.options = {{"partial_rotary_factor", "partial_rotary_factor"},
                                                        {"attention_bias", "attention_bias"},
                                                        {"mlp_bias", "mlp_bias"}}};
  backbone::read_decoder_config(
      pretrained, {.plugin = "nemotron", .model_type = "nemotron", .hidden_act = "relu2", .norm_eps_key = "norm_eps"},
      *keys, nemotron_table(), *this);
  read_options(backbone::rope_table(pretrained.config), {{"partial_rotary_factor", "partial_rotary_factor"}},
               nemotron_table(), *this);
}

nn::DecoderOptions decoder(const NemotronOptions& options) {
  auto decoder = options.decoder();
  decoder.norm = nn::NormKind::layer_plus_one;
  decoder.activation = "relu2", decoder.gated_mlp = false;
  decoder.qkv_bias = decoder.output_bias = options.attention_bias, decoder.mlp_bias = options.mlp_bias;
  decoder.rotary_size = static_cast<int64_t>(static_cast<double>(decoder.head_size) * options.partial_rotary_factor);
  if (decoder.rotary_size < 2 || decoder.rotary_size % 2 != 0)
    fail(ErrorKind::config,
         fmt::format("nemotron: partial_rotary_factor = {} of a head of {} gives {} values; an even number is needed",
                     options.partial_rotary_factor, decoder.head_size, decoder.rotary_size));
  return decoder;
}

class Nemotron : public backbone::DecoderLm {
 public:
  explicit Nemotron(const NemotronOptions& options) : DecoderLm(decoder(options)) {}
};

}  // namespace antiphon::nemotron

ANTIPHON_PLUGIN(nemotron, "0.1.0") {
  using namespace antiphon::nemotron;
  antiphon::register_component<antiphon::LanguageModel, Nemotron>(registrar, "nemotron",
                                                                  "Nemotron-4 and Minitron decoders", nemotron_table());
}
