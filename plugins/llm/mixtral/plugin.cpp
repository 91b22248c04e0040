// Mixtral (Jiang et al. 2024; transformers: models/mixtral): Mistral's decoder with mixtures of experts in all layers.
#include <antiphon/backbone/moe_lm.h>
#include <antiphon/component/language_model.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::mixtral {

struct MixtralOptions : backbone::DecoderLmOptions, backbone::MoeLmOptions {
  int64_t sliding_window = 0;

  MixtralOptions() {
    intermediate_size = 14336, num_kv_heads = 8, max_positions = 4096 * 32, norm_eps = 1e-5;
    rope_theta = 1e6;
  }
  void read_pretrained(const PretrainedConfig& pretrained);
};

const config::Table<MixtralOptions>& mixtral_table() {
  using O = MixtralOptions;
  static const auto* table = new config::Table<O>(
      backbone::with_experts(backbone::decoder_lm_table<O>("mixtral"))
          .field("sliding_window", &O::sliding_window, "tokens that a layer sees, the query's own included; 0: all",
                 {.min = 0, .max = 1 << 30}));
  return *table;
}

void MixtralOptions::read_pretrained(const PretrainedConfig& pretrained) {
  static const auto* keys = new ForeignKeys{.options = {{"sliding_window", "sliding_window", 1},
                                                        {"num_local_experts", "num_experts"},
                                                        {"num_experts_per_tok", "num_experts_per_tok"},
                                                        {"output_router_logits", "output_router_logits"},
                                                        {"router_aux_loss_coef", "router_aux_loss_coef"}},
                                            .fixed = {{"partial_rotary_factor", {1}}},
                                            .training = {"router_jitter_noise"}};
  backbone::read_decoder_config(pretrained, {.plugin = "mixtral", .model_type = "mixtral", .hidden_act = "silu"}, *keys,
                                mixtral_table(), *this);
  check_fixed(backbone::rope_table(pretrained.config), {"partial_rotary_factor", {1}});
}

nn::DecoderOptions decoder(const MixtralOptions& options) {
  auto decoder = options.decoder();
  decoder.window = options.sliding_window;
  options.put_into(decoder);
  decoder.moe.wide_shares = true;
  return decoder;
}

class Mixtral : public backbone::DecoderLm {
 public:
  explicit Mixtral(const MixtralOptions& options) : DecoderLm(decoder(options)) {}

  NameMap name_map() const override {
    auto map = DecoderLm::name_map();
    std::erase_if(map.rules, [](const auto& rule) { return rule.checkpoint.find(".mlp.") != std::string::npos; });
    map.rules.push_back({"model.layers.{}.block_sparse_moe.gate.weight", "layers.{}.mlp.gate.weight"});
    for (const auto& [theirs, ours] : {std::pair{"w1", "gate_proj"}, {"w2", "down_proj"}, {"w3", "up_proj"}})
      map.rules.push_back({std::string("model.layers.{}.block_sparse_moe.experts.{}.") + theirs + ".{}",
                           std::string("layers.{}.mlp.experts.{}.") + ours + ".{}"});
    map.rules.push_back({"model.layers.{}.mlp.gate.weight", "layers.{}.mlp.gate.weight", true});
    backbone::read_stacked_experts(map);
    return map;
  }
};

}  // namespace antiphon::mixtral

ANTIPHON_PLUGIN(mixtral, "0.1.0") {
  using namespace antiphon::mixtral;
  antiphon::register_component<antiphon::LanguageModel, Mixtral>(
      registrar, "mixtral", "Mixtral decoders (mixtures of experts)", mixtral_table());
}
