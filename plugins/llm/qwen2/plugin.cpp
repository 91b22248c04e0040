// Qwen2 and Qwen2.5 (Yang et al. 2024; transformers: models/qwen2): biases in q, k and v, and a sliding window.
#include <antiphon/backbone/upper_window.h>
#include <antiphon/component/language_model.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::qwen2 {

struct Qwen2Options : backbone::UpperWindowOptions {
  Qwen2Options() { vocab_size = 151936, intermediate_size = 22016, max_positions = 32768; }
  void read_pretrained(const PretrainedConfig& pretrained);
};

const config::Table<Qwen2Options>& qwen2_table() {
  static const auto* table = new config::Table<Qwen2Options>(backbone::upper_window_table<Qwen2Options>("qwen2"));
  return *table;
}

void Qwen2Options::read_pretrained(const PretrainedConfig& pretrained) {
  const auto& json = pretrained.config;
  const auto keys = backbone::window_keys(json, *this);
  if (!json.json().contains("num_key_value_heads")) num_kv_heads = 32;
  backbone::read_decoder_config(pretrained, {.plugin = "qwen2", .model_type = "qwen2", .hidden_act = "silu"}, keys,
                                qwen2_table(), *this);
  check_fixed(backbone::rope_table(json), {"partial_rotary_factor", {1}});
  backbone::check_layer_types(json, *this);
}

nn::DecoderOptions decoder(const Qwen2Options& options) {
  auto decoder = backbone::windowed_decoder(options);
  decoder.qkv_bias = true;
  return decoder;
}

class Qwen2 : public backbone::DecoderLm {
 public:
  explicit Qwen2(const Qwen2Options& options) : DecoderLm(decoder(options)) {}
};

}  // namespace antiphon::qwen2

ANTIPHON_PLUGIN(qwen2, "0.1.0") {
  using namespace antiphon::qwen2;
  antiphon::register_component<antiphon::LanguageModel, Qwen2>(registrar, "qwen2", "Qwen2 and Qwen2.5 decoders",
                                                               qwen2_table());
}
