// Qwen3 (Yang et al. 2025; transformers: models/qwen3): the heads of queries and keys are normalized before they are
// turned.
#include <antiphon/backbone/upper_window.h>
#include <antiphon/component/language_model.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::qwen3 {

struct Qwen3Options : backbone::UpperWindowOptions {
  bool attention_bias = false;

  Qwen3Options() { vocab_size = 151936, intermediate_size = 22016, head_size = 128, max_positions = 32768; }
  void read_pretrained(const PretrainedConfig& pretrained);
};

const config::Table<Qwen3Options>& qwen3_table() {
  using O = Qwen3Options;
  static const auto* table = new config::Table<O>(backbone::upper_window_table<O>("qwen3").field(
      "attention_bias", &O::attention_bias, "biases in q, k, v and o projections"));
  return *table;
}

void Qwen3Options::read_pretrained(const PretrainedConfig& pretrained) {
  const auto& json = pretrained.config;
  auto keys = backbone::window_keys(json, *this);
  keys.options.push_back({"attention_bias", "attention_bias"});
  if (!json.json().contains("num_key_value_heads")) num_kv_heads = 32;
  backbone::read_decoder_config(pretrained, {.plugin = "qwen3", .model_type = "qwen3", .hidden_act = "silu"}, keys,
                                qwen3_table(), *this);
  check_fixed(backbone::rope_table(json), {"partial_rotary_factor", {1}});
  backbone::check_layer_types(json, *this);
}

nn::DecoderOptions decoder(const Qwen3Options& options) {
  auto decoder = backbone::windowed_decoder(options);
  decoder.qkv_bias = decoder.output_bias = options.attention_bias;
  decoder.qk_norm = true;
  return decoder;
}

class Qwen3 : public backbone::DecoderLm {
 public:
  explicit Qwen3(const Qwen3Options& options) : DecoderLm(decoder(options)) {}
};

}  // namespace antiphon::qwen3

ANTIPHON_PLUGIN(qwen3, "0.1.0") {
  using namespace antiphon::qwen3;
  antiphon::register_component<antiphon::LanguageModel, Qwen3>(registrar, "qwen3", "Qwen3 decoders", qwen3_table());
}
