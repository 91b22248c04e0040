#include <fmt/format.h>

#include <antiphon/weights/gguf_families.h>

namespace antiphon::weights {
namespace {

using nlohmann::json;

constexpr int64_t kMostNumber = int64_t{1} << 31;

// Scores are divided by the root of this: a head's size, but in the largest Gemma 2 and 3 its share of the width.
int64_t scalar_of(bool second, int64_t layers, int64_t hidden, int64_t heads, int64_t head) {
  return layers == (second ? 46 : 62) ? hidden / heads : head;
}

constexpr int64_t period_of(bool second) { return second ? 2 : 6; }

// Whether each layer has the window. The key is newer than most files: one layer of so many has none, or a list.
std::vector<std::string> kinds_of_layers(const GgufFile& file, int64_t layers, bool has_window, int64_t usual) {
  std::vector<std::string> kinds;
  const auto* pattern = gguf_value(file, "attention.sliding_window_pattern");
  const bool listed = pattern && pattern->is_array() && static_cast<int64_t>(pattern->size()) == layers;
  const auto period = listed ? 0 : gguf_integer(file, "attention.sliding_window_pattern", 1, usual);
  for (int64_t layer = 0; layer < layers; ++layer) {
    const bool windowed =
        listed ? (*pattern)[static_cast<size_t>(layer)] != false && (*pattern)[static_cast<size_t>(layer)] != 0
               : (layer + 1) % period != 0;
    kinds.emplace_back(has_window && windowed ? "sliding_attention" : "full_attention");
  }
  return kinds;
}

// A file says 0 if there is no cap, config.json null.
json cap(const GgufFile& file, const char* key, double otherwise) {
  const auto value = gguf_number(file, key, otherwise);
  return value > 0 ? json(value) : json();
}

// Layers without the window are those that llama.cpp takes for such.
void check_layers(const JsonTable& config, int64_t layers, bool second) {
  const auto period = period_of(second);
  const auto* kinds = config.find("layer_types");
  for (int64_t layer = 0; kinds && layer < layers; ++layer) {
    const char* wanted = (layer + 1) % period == 0 ? "full_attention" : "sliding_attention";
    if (!kinds->is_array() || std::ssize(*kinds) != layers || (*kinds)[static_cast<size_t>(layer)] != wanted)
      config.refuse("layer_types", fmt::format("one full layer of {}, which llama.cpp takes for granted", period));
  }
  if (!kinds && !second)
    if (config.integer("sliding_window_pattern", period, 1, kMostNumber) != period)
      config.refuse("sliding_window_pattern", fmt::format("{}, which llama.cpp takes for granted", period));
}

}  // namespace

void add_gemma(const GgufFile& file, json& config) {
  const bool second = config.at("model_type") == "gemma2";
  const auto layers = config.at("num_hidden_layers").get<int64_t>();
  config.erase("hidden_act");
  config["hidden_activation"] = "gelu_pytorch_tanh";
  config["query_pre_attn_scalar"] =
      scalar_of(second, layers, config.at("hidden_size").get<int64_t>(),
                config.at("num_attention_heads").get<int64_t>(), config.at("head_dim").get<int64_t>());
  config["final_logit_softcapping"] = cap(file, "final_logit_softcapping", second ? 30 : 0);
  if (second) config["attn_logit_softcapping"] = cap(file, "attn_logit_softcapping", 50);
  const auto window = gguf_integer(file, "attention.sliding_window", 0, second ? 4096 : 0);
  config["layer_types"] = kinds_of_layers(file, layers, window > 0, period_of(second));
  config["sliding_window"] = window > 0 ? window : 4096;  // without one no layer reads it
  if (second) return;
  if (!gguf_value(file, "rope.freq_base")) config["rope_theta"] = 1e6;
  config["rope_local_base_freq"] = gguf_number(file, "rope.freq_base_swa", 10000);
}

void put_gemma(GgufModel& out, const JsonTable& config, const JsonTable& rope) {
  const bool second = config.text("model_type", "") == "gemma2";
  const std::string at = second ? "gemma2." : "gemma3.";
  const auto layers = config.integer("num_hidden_layers", 0, 1, kMostNumber),
             heads = config.integer("num_attention_heads", 0, 1, kMostNumber),
             hidden = config.integer("hidden_size", 0, 1, kMostNumber),
             scalar = scalar_of(second, layers, hidden, heads, config.integer("head_dim", 256, 1, kMostNumber));
  check_layers(config, layers, second);
  if (config.number("query_pre_attn_scalar", 256, 0, 1e9) != static_cast<double>(scalar))
    config.refuse("query_pre_attn_scalar", fmt::format("{}, which llama.cpp takes for granted", scalar));
  if (!second && config.number("rope_local_base_freq", 10000, 0, 1e12) != 10000)
    config.refuse("rope_local_base_freq", "10000, which llama.cpp takes for granted");
  if (const auto windowed = rope.table("sliding_attention"); windowed.number("rope_theta", 10000, 0, 1e12) != 10000)
    windowed.refuse("rope_theta", "10000, which llama.cpp takes for granted");
  const auto put = [&](const char* key, double number) { out.metadata.put(at + key, static_cast<float>(number)); };
  out.metadata.put(at + "attention.sliding_window",
                   static_cast<uint32_t>(config.integer("sliding_window", 4096, 1, kMostNumber)));
  if (second) put("attn_logit_softcapping", config.number("attn_logit_softcapping", 0, 0, 1e6));
  if (second && !(config.number("attn_logit_softcapping", 0, 0, 1e6) > 0))
    config.refuse("attn_logit_softcapping", "a cap, which llama.cpp takes for granted");
  if (const double most = config.number("final_logit_softcapping", 0, 0, 1e6); most > 0 || second)
    put("final_logit_softcapping", most);
  const auto full = rope.table("full_attention").exists() ? rope.table("full_attention") : rope;
  put("rope.freq_base", rope_theta(config, full, second ? 1e4 : 1e6));
  const auto type = rope_type(full);
  if (type == "default") return;
  if (type != "linear") full.refuse("rope_type", "'default' or 'linear', which GGUF files of Gemma have");
  out.metadata.put(at + "rope.scaling.type", std::string_view("linear"));
  put("rope.scaling.factor", full.number("factor", 1, 1e-6, 1e6));
}

}  // namespace antiphon::weights
