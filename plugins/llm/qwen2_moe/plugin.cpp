// Qwen1.5-MoE and Qwen2 with mixtures of experts (Yang et al. 2024; transformers: models/qwen2_moe): an MLP that all
// tokens go through stands beside the experts.
#include <antiphon/backbone/moe_lm.h>
#include <antiphon/backbone/upper_window.h>
#include <antiphon/component/language_model.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::qwen2_moe {

struct Qwen2MoeOptions : backbone::UpperWindowOptions, backbone::MoeLmOptions {
  int64_t shared_expert_intermediate_size = 5632;
  bool qkv_bias = true;

  Qwen2MoeOptions() {
    vocab_size = 151936, hidden_size = 2048, intermediate_size = 5632, num_layers = 24, num_heads = 16;
    max_positions = 32768, num_experts = 60, num_experts_per_tok = 4, moe_intermediate_size = 1408;
    norm_topk_prob = false;
  }
  void read_pretrained(const PretrainedConfig& pretrained);
};

const config::Table<Qwen2MoeOptions>& qwen2_moe_table() {
  using O = Qwen2MoeOptions;
  static const auto* table = new config::Table<O>(
      backbone::with_dense_layers(backbone::with_experts(backbone::decoder_lm_table<O>("qwen2_moe")))
          .field("shared_expert_intermediate_size", &O::shared_expert_intermediate_size,
                 "width of the MLP that all tokens go through", {.min = 1, .max = 1 << 22})
          .field("qkv_bias", &O::qkv_bias, "biases in q, k and v projections"));
  return *table;
}

void Qwen2MoeOptions::read_pretrained(const PretrainedConfig& pretrained) {
  const auto& json = pretrained.config;
  const auto keys = backbone::keys_of_experts().with(
      {.options = {{"num_experts", "num_experts"},
                   {"shared_expert_intermediate_size", "shared_expert_intermediate_size"},
                   {"qkv_bias", "qkv_bias"}},
       .fixed = {{"use_sliding_window", {false}}},
       .other = {"sliding_window", "max_window_layers", "layer_types"}});
  if (!json.json().contains("num_key_value_heads")) num_kv_heads = 16;
  backbone::read_decoder_config(pretrained, {.plugin = "qwen2_moe", .model_type = "qwen2_moe", .hidden_act = "silu"},
                                keys, qwen2_moe_table(), *this);
  check_fixed(backbone::rope_table(json), {"partial_rotary_factor", {1}});
  backbone::check_layer_types(json, *this);
}

nn::DecoderOptions decoder(const Qwen2MoeOptions& options) {
  auto decoder = options.decoder();
  decoder.qkv_bias = options.qkv_bias;
  options.put_into(decoder);
  decoder.moe.shared_size = options.shared_expert_intermediate_size;
  return decoder;
}

class Qwen2Moe : public backbone::DecoderLm {
 public:
  explicit Qwen2Moe(const Qwen2MoeOptions& options) : DecoderLm(decoder(options)) {}
  NameMap name_map() const override {
    auto map = DecoderLm::name_map();
    backbone::read_stacked_experts(map);
    return map;
  }
};

}  // namespace antiphon::qwen2_moe

ANTIPHON_PLUGIN(qwen2_moe, "0.1.0") {
  using namespace antiphon::qwen2_moe;
  antiphon::register_component<antiphon::LanguageModel, Qwen2Moe>(
      registrar, "qwen2_moe", "Qwen1.5 and Qwen2 decoders with mixtures of experts", qwen2_moe_table());
}
