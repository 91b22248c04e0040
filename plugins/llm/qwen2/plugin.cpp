// Qwen2 and Qwen2.5 (Yang et al. 2024; transformers: models/qwen2): biases in q, k and v, and a sliding window.
#include <antiphon/backbone/decoder_lm.h>
#include <antiphon/component/language_model.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::qwen2 {

struct Qwen2Options : backbone::DecoderLmOptions {
  int64_t sliding_window = 0, max_window_layers = 0;

  Qwen2Options() { vocab_size = 151936, intermediate_size = 22016, max_positions = 32768; }
  void read_pretrained(const PretrainedConfig& pretrained);
};

const config::Table<Qwen2Options>& qwen2_table() {
  using O = Qwen2Options;
  static const auto* table =
      new config::Table<O>(backbone::decoder_lm_table<O>("qwen2")
                               .field("sliding_window", &O::sliding_window,
                                      "tokens that a layer with a window sees, the query's own included; 0: no window",
                                      {.min = 0, .max = 1 << 30})
                               .field("max_window_layers", &O::max_window_layers,
                                      "first layer with the window; those before see all", {.min = 0, .max = 1000}));
  return *table;
}

namespace {

// Newer files list the kind of each layer as well, which must say the same as the window's first layer.
void check_layer_types(const JsonTable& json, const Qwen2Options& o) {
  const auto* types = json.find("layer_types");
  if (!types) return;
  auto expected = nlohmann::json::array();
  for (int64_t layer = 0; layer < o.num_layers; ++layer)
    expected.push_back(o.sliding_window > 0 && layer >= o.max_window_layers ? "sliding_attention" : "full_attention");
  if (*types != expected)
    json.refuse("layer_types", "for each layer what use_sliding_window, sliding_window and max_window_layers say",
                "windows in layers of another choice are not supported");
}

}  // namespace

// The window is on in layers max_window_layers and up.
void Qwen2Options::read_pretrained(const PretrainedConfig& pretrained) {
  const auto& json = pretrained.config;
  ForeignKeys keys{.fixed = {{"partial_rotary_factor", {1}}, {"use_mrope", {false}}},
                   .other = {"use_sliding_window", "sliding_window", "max_window_layers", "layer_types"}};
  if (json.flag("use_sliding_window", false)) {
    sliding_window = 4096, max_window_layers = 28;
    keys.options = {{"sliding_window", "sliding_window", 1}, {"max_window_layers", "max_window_layers"}};
    if (json.json().contains("sliding_window") && !json.find("sliding_window")) sliding_window = 0;
  }
  if (!json.json().contains("num_key_value_heads")) num_kv_heads = 32;
  backbone::read_decoder_config(pretrained, {.plugin = "qwen2", .model_type = "qwen2", .hidden_act = "silu"}, keys,
                                qwen2_table(), *this);
  check_fixed(backbone::rope_table(json), {"partial_rotary_factor", {1}});
  check_layer_types(json, *this);
}

nn::DecoderOptions decoder(const Qwen2Options& options) {
  auto decoder = options.decoder();
  decoder.qkv_bias = true;
  decoder.window = options.sliding_window, decoder.first_window_layer = options.max_window_layers;
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
