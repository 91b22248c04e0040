// Phi-3, Phi-3.5 and Phi-4-mini (Abdin et al. 2024; transformers: models/phi3): Llama whose files hold queries, keys
// and values as one matrix and gate and up as another, with a window and LongRoPE, or without.
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

#include "options.h"

namespace antiphon::phi3 {

const config::Table<Phi3Options>& phi3_table() {
  using O = Phi3Options;
  const config::Rule factors{.min = 0, .max = 1e6, .above_min = true};
  static const auto* table = new config::Table<O>(
      backbone::decoder_lm_table<O>("phi3")
          .field("sliding_window", &O::sliding_window, "tokens that a layer sees, the query's own included; 0: all",
                 {.min = 0, .max = 1 << 30})
          .field("partial_rotary_factor", &O::partial_rotary_factor, "share of each head that is turned",
                 {.min = 0, .max = 1, .above_min = true})
          .field("rope_short_factors", &O::rope_short_factors,
                 "LongRoPE: what each frequency is divided by in texts of up to rope_original_max_positions tokens",
                 factors)
          .field("rope_long_factors", &O::rope_long_factors, "LongRoPE: the same in longer texts", factors));
  return *table;
}

void Phi3Options::read_pretrained(const PretrainedConfig& pretrained) {
  PretrainedConfig own = pretrained;
  own.config = read_long_rope(pretrained.config, *this);
  static const auto* keys = new ForeignKeys{
      .options = {{"sliding_window", "sliding_window", 1}, {"partial_rotary_factor", "partial_rotary_factor"}},
      .fixed = {{"attention_bias", {false}}},
      .training = {"resid_pdrop", "embd_pdrop"}};
  backbone::read_decoder_config(own, {.plugin = "phi3", .model_type = "phi3", .hidden_act = "silu"}, *keys,
                                phi3_table(), *this);
  read_options(backbone::rope_table(own.config), {{"partial_rotary_factor", "partial_rotary_factor"}}, phi3_table(),
               *this);
}

nn::DecoderOptions decoder(const Phi3Options& options) {
  auto decoder = options.decoder();
  decoder.window = options.sliding_window;
  set_rope(options, decoder);
  return decoder;
}

class Phi3 : public backbone::DecoderLm {
 public:
  explicit Phi3(const Phi3Options& options) : DecoderLm(decoder(options)) {}

  NameMap name_map() const override {
    auto map = DecoderLm::name_map();
    map.rules.insert(map.rules.begin(),
                     {{"model.layers.{}.self_attn.qkv_proj.{}", "layers.{}.self_attn.[q_proj,k_proj,v_proj].{}"},
                      {"model.layers.{}.mlp.gate_up_proj.{}", "layers.{}.mlp.[gate_proj,up_proj].{}"}});
    return map;
  }
};

}  // namespace antiphon::phi3

ANTIPHON_PLUGIN(phi3, "0.1.0") {
  using namespace antiphon::phi3;
  antiphon::register_component<antiphon::LanguageModel, Phi3>(registrar, "phi3",
                                                              "Phi-3, Phi-3.5 and Phi-4-mini decoders", phi3_table());
}
