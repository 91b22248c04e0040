#include <fmt/format.h>

#include <antiphon/weights/gguf_families.h>

namespace antiphon::weights {
namespace {

using nlohmann::json;

// Of the largest Gemma 2 and 3, whose scores are divided by the root of this and not of a head's size.
bool divides_by_share_of_width(const std::string& type, int64_t layers) {
  return layers == (type == "gemma2" ? 46 : 62);
}

// Whether each layer has the window. The key is newer than most files: one layer of so many has none, or a list.
std::vector<std::string> kinds_of_layers(const GgufFile& file, int64_t layers, bool has_window, int64_t usual) {
  std::vector<std::string> kinds;
  const auto* pattern = gguf_value(file, "attention.sliding_window_pattern");
  const bool listed = pattern && pattern->is_array() && static_cast<int64_t>(pattern->size()) == layers;
  const auto period = listed ? 0 : gguf_integer(file, "attention.sliding_window_pattern", 1, usual);
  for (int64_t layer = 0; layer < layers; ++layer) {
    const bool windowed = listed ? (*pattern)[static_cast<size_t>(layer)] != false &&
                                       (*pattern)[static_cast<size_t>(layer)] != 0
                                 : (layer + 1) % period != 0;
    kinds.emplace_back(has_window && windowed ? "sliding_attention" : "full_attention");
  }
  return kinds;
}

// 0, which is none, becomes null.
json cap(const GgufFile& file, const char* key, double otherwise) {
  const auto value = gguf_number(file, key, otherwise);
  return value > 0 ? json(value) : json();
}

}  // namespace

void add_gemma(const GgufFile& file, json& config) {
  const auto type = config.at("model_type").get<std::string>();
  const bool second = type == "gemma2";
  const auto layers = config.at("num_hidden_layers").get<int64_t>();
  config.erase("hidden_act");
  config["hidden_activation"] = "gelu_pytorch_tanh";
  config["query_pre_attn_scalar"] =
      divides_by_share_of_width(type, layers)
          ? config.at("hidden_size").get<int64_t>() / config.at("num_attention_heads").get<int64_t>()
          : config.at("head_dim").get<int64_t>();
  config["final_logit_softcapping"] = cap(file, "final_logit_softcapping", second ? 30 : 0);
  if (second) config["attn_logit_softcapping"] = cap(file, "attn_logit_softcapping", 50);
  const auto window = gguf_integer(file, "attention.sliding_window", 0, second ? 4096 : 0);
  config["layer_types"] = kinds_of_layers(file, layers, window > 0, second ? 2 : 6);
  config["sliding_window"] = window > 0 ? window : 4096;  // of no layer, if there is none
  if (second) return;
  if (!gguf_value(file, "rope.freq_base")) config["rope_theta"] = 1e6;
  config["rope_local_base_freq"] = gguf_number(file, "rope.freq_base_swa", 10000);
}

}  // namespace antiphon::weights
