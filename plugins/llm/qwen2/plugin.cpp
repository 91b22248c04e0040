// Qwen2 and Qwen2.5 (Yang et al. 2024; transformers: models/qwen2): biases in q, k and v, and a sliding window.
#include <fmt/format.h>

#include <antiphon/component/register.h>
#include <antiphon/nn/decoder_lm.h>
#include <antiphon/plugin/manifest.h>

#include <vector>

namespace antiphon::qwen2 {

struct Qwen2Options : nn::DecoderLmOptions {
  int64_t sliding_window = 0, max_window_layers = 0;

  void read_pretrained(const PretrainedConfig& pretrained);
};

// The window is on in layers max_window_layers and up. Newer files list the kind of each layer as well: the same.
void Qwen2Options::read_pretrained(const PretrainedConfig& pretrained) {
  const auto& json = pretrained.config;
  nn::read_decoder_config(pretrained, {.plugin = "qwen2", .model_type = "qwen2", .hidden_act = "silu"}, *this);
  bool use_sliding_window = false;
  take(json, "use_sliding_window", use_sliding_window);
  if (use_sliding_window) {
    sliding_window = 4096, max_window_layers = 28;
    take(json, "sliding_window", sliding_window);
    take(json, "max_window_layers", max_window_layers);
  }
  std::vector<std::string> layer_types;
  take(json, "layer_types", layer_types);
  for (size_t layer = 0; layer < layer_types.size(); ++layer) {
    const bool windowed = sliding_window > 0 && static_cast<int64_t>(layer) >= max_window_layers;
    if (const auto* expected = windowed ? "sliding_attention" : "full_attention"; layer_types[layer] != expected)
      fail(ErrorKind::weights,
           fmt::format("config.json has layer_types[{}] = '{}'; sliding_window and max_window_layers say '{}'", layer,
                       layer_types[layer], expected),
           "windows in layers of another choice are not supported");
  }
}

const config::Table<Qwen2Options>& qwen2_table() {
  using O = Qwen2Options;
  static const auto* table = new config::Table<O>(
      nn::decoder_lm_table<O>("qwen2")
          .field("sliding_window", &O::sliding_window,
                 "tokens that a layer with a window sees, the query's own included; 0: no window", {.min = 0})
          .field("max_window_layers", &O::max_window_layers, "first layer with the window; those before see all",
                 {.min = 0}));
  return *table;
}

nn::DecoderOptions decoder(const Qwen2Options& options) {
  auto decoder = options.decoder();
  decoder.qkv_bias = true;
  decoder.window = options.sliding_window, decoder.first_window_layer = options.max_window_layers;
  return decoder;
}

class Qwen2 : public nn::DecoderLm {
 public:
  explicit Qwen2(const Qwen2Options& options) : DecoderLm(decoder(options)) {}
};

}  // namespace antiphon::qwen2

ANTIPHON_PLUGIN(qwen2, "0.1.0") {
  using namespace antiphon::qwen2;
  antiphon::register_language_model<Qwen2>(registrar, "qwen2", "Qwen2 and Qwen2.5 decoders", qwen2_table());
}
