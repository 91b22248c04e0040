// Qwen3 with mixtures of experts (Yang et al. 2025; transformers: models/qwen3_moe).
#include <antiphon/backbone/moe_lm.h>
#include <antiphon/backbone/upper_window.h>
#include <antiphon/component/language_model.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::qwen3_moe {

struct Qwen3MoeOptions : backbone::DecoderLmOptions, backbone::MoeLmOptions {
  bool attention_bias = false;
  int64_t sliding_window = 0;

  Qwen3MoeOptions() {
    vocab_size = 151936, hidden_size = 2048, intermediate_size = 6144, num_layers = 24, num_kv_heads = 4;
    max_positions = 32768, num_experts = 128, num_experts_per_tok = 8, moe_intermediate_size = 768;
    norm_topk_prob = false;
  }
  void read_pretrained(const PretrainedConfig& pretrained);
};

const config::Table<Qwen3MoeOptions>& qwen3_moe_table() {
  using O = Qwen3MoeOptions;
  static const auto* table = new config::Table<O>(
      backbone::with_dense_layers(backbone::with_experts(backbone::decoder_lm_table<O>("qwen3_moe")))
          .field("attention_bias", &O::attention_bias, "biases in q, k, v and o projections")
          .field("sliding_window", &O::sliding_window, "tokens that a layer sees, the query's own included; 0: all",
                 {.min = 0, .max = 1 << 30}));
  return *table;
}

void Qwen3MoeOptions::read_pretrained(const PretrainedConfig& pretrained) {
  const auto& json = pretrained.config;
  auto keys = backbone::keys_of_experts().with(
      {.options = {{"attention_bias", "attention_bias"},
                   {"num_experts", "num_experts", 1},
                   {"num_local_experts", "num_experts", 1}},
       .other = {"use_sliding_window", "sliding_window", "max_window_layers"}});  // the last has no effect
  if (backbone::uses_window(json, sliding_window)) keys.options.push_back({"sliding_window", "sliding_window", 1});
  backbone::read_decoder_config(pretrained, {.plugin = "qwen3_moe", .model_type = "qwen3_moe", .hidden_act = "silu"},
                                keys, qwen3_moe_table(), *this);
  check_fixed(backbone::rope_table(json), {"partial_rotary_factor", {1}});
}

nn::DecoderOptions decoder(const Qwen3MoeOptions& options) {
  auto decoder = options.decoder();
  decoder.qkv_bias = decoder.output_bias = options.attention_bias;
  decoder.qk_norm = true, decoder.window = options.sliding_window;
  options.put_into(decoder);
  return decoder;
}

class Qwen3Moe : public backbone::DecoderLm {
 public:
  explicit Qwen3Moe(const Qwen3MoeOptions& options) : DecoderLm(decoder(options)) {}
  NameMap name_map() const override {
    auto map = DecoderLm::name_map();
    backbone::read_stacked_experts(map);
    return map;
  }
};

}  // namespace antiphon::qwen3_moe

ANTIPHON_PLUGIN(qwen3_moe, "0.1.0") {
  using namespace antiphon::qwen3_moe;
  antiphon::register_component<antiphon::LanguageModel, Qwen3Moe>(
      registrar, "qwen3_moe", "Qwen3 decoders with mixtures of experts", qwen3_moe_table());
}
