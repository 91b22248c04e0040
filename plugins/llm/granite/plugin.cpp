// Granite 3 (IBM 2024; transformers: models/granite): Llama whose embeddings, scores, branches and logits are
// multiplied.
#include <antiphon/backbone/decoder_lm.h>
#include <antiphon/component/language_model.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::granite {

struct GraniteOptions : backbone::DecoderLmOptions {
  bool attention_bias = false, mlp_bias = false;
  double embedding_multiplier = 1, logits_scaling = 1, residual_multiplier = 1, attention_multiplier = 1;

  void read_pretrained(const PretrainedConfig& pretrained);
};

const config::Table<GraniteOptions>& granite_table() {
  using O = GraniteOptions;
  const config::Rule positive{.min = 0, .max = 1e6, .above_min = true};
  static const auto* table = new config::Table<O>(
      backbone::decoder_lm_table<O>("granite")
          .field("attention_bias", &O::attention_bias, "biases in q, k, v and o projections")
          .field("mlp_bias", &O::mlp_bias, "biases in the MLP")
          .field("embedding_multiplier", &O::embedding_multiplier, "of the embeddings of text", positive)
          .field("attention_multiplier", &O::attention_multiplier, "of queries times keys", positive)
          .field("residual_multiplier", &O::residual_multiplier, "of what a branch adds", positive)
          .field("logits_scaling", &O::logits_scaling, "divides the logits", positive));
  return *table;
}

void GraniteOptions::read_pretrained(const PretrainedConfig& pretrained) {
  static const auto* keys = new ForeignKeys{.options = {{"attention_bias", "attention_bias"},
                                                        {"mlp_bias", "mlp_bias"},
                                                        {"embedding_multiplier", "embedding_multiplier"},
                                                        {"attention_multiplier", "attention_multiplier"},
                                                        {"residual_multiplier", "residual_multiplier"},
                                                        {"logits_scaling", "logits_scaling"}},
                                            .fixed = {{"partial_rotary_factor", {1}}}};
  backbone::read_decoder_config(pretrained, {.plugin = "granite", .model_type = "granite", .hidden_act = "silu"}, *keys,
                                granite_table(), *this);
  check_fixed(backbone::rope_table(pretrained.config), {"partial_rotary_factor", {1}});
}

nn::DecoderOptions decoder(const GraniteOptions& o) {
  auto decoder = o.decoder();
  decoder.qkv_bias = decoder.output_bias = o.attention_bias, decoder.mlp_bias = o.mlp_bias;
  decoder.embed_multiplier = o.embedding_multiplier, decoder.score_scale = o.attention_multiplier;
  decoder.branch_multiplier = o.residual_multiplier, decoder.logits.multiplier = 1 / o.logits_scaling;
  return decoder;
}

class Granite : public backbone::DecoderLm {
 public:
  explicit Granite(const GraniteOptions& options) : DecoderLm(decoder(options)) {}
};

}  // namespace antiphon::granite

ANTIPHON_PLUGIN(granite, "0.1.0") {
  using namespace antiphon::granite;
  antiphon::register_component<antiphon::LanguageModel, Granite>(registrar, "granite", "Granite decoders",
                                                                 granite_table());
}
