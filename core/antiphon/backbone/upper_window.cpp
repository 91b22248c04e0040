#include <antiphon/backbone/upper_window.h>

namespace antiphon::backbone {

bool uses_window(const JsonTable& json, int64_t& sliding_window) {
  if (!json.flag("use_sliding_window", false)) return false;
  const bool null = json.json().contains("sliding_window") && !json.find("sliding_window");
  sliding_window = null ? 0 : 4096;
  return true;
}

ForeignKeys window_keys(const JsonTable& json, UpperWindowOptions& o) {
  ForeignKeys keys{.fixed = {{"partial_rotary_factor", {1}}, {"use_mrope", {false}}},
                   .other = {"use_sliding_window", "sliding_window", "max_window_layers", "layer_types"}};
  if (!uses_window(json, o.sliding_window)) return keys;
  o.max_window_layers = 28;
  keys.options = {{"sliding_window", "sliding_window", 1}, {"max_window_layers", "max_window_layers"}};
  return keys;
}

void check_layer_types(const JsonTable& json, const UpperWindowOptions& o) {
  const auto* types = json.find("layer_types");
  if (!types) return;
  auto expected = nlohmann::json::array();
  for (int64_t layer = 0; layer < o.num_layers; ++layer)
    expected.push_back(o.sliding_window > 0 && layer >= o.max_window_layers ? "sliding_attention" : "full_attention");
  if (*types != expected)
    json.refuse("layer_types", "for each layer what use_sliding_window, sliding_window and max_window_layers say",
                "windows in layers of another choice are not supported");
}

nn::DecoderOptions windowed_decoder(const UpperWindowOptions& options) {
  auto decoder = options.decoder();
  decoder.window = options.sliding_window, decoder.first_window_layer = options.max_window_layers;
  return decoder;
}

}  // namespace antiphon::backbone
