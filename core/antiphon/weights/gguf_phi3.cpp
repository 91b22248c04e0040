#include <cmath>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/weights/gguf_families.h>

namespace antiphon::weights {
namespace {

using nlohmann::json;
constexpr int64_t kMost = int64_t{1} << 31;

// The share of a head of which transformers makes these values again.
double share(int64_t values, int64_t head) {
  const double plain = static_cast<double>(values) / static_cast<double>(head);
  const bool same = static_cast<int64_t>(static_cast<double>(head) * plain) == values;
  return same ? plain : (static_cast<double>(values) + 0.5) / static_cast<double>(head);
}

// As transformers computes it (modeling_rope_utils.py, _compute_longrope_parameters).
double usual_attention_factor(double longest, double original) {
  return longest <= original ? 1 : std::sqrt(1 + std::log(longest / original) / std::log(original));
}

at::Tensor tensor_of(const JsonTable& rope, const char* key) {
  const auto* list = rope.find(key);
  if (!list || !list->is_array()) rope.refuse(key, "a list of numbers");
  std::vector<float> factors;
  for (const auto& value : *list) {
    if (!value.is_number()) rope.refuse(key, "a list of numbers");
    factors.push_back(value.get<float>());
  }
  return at::tensor(factors);
}

}  // namespace

void add_phi3(const GgufFile& file, json& config) {
  const auto head = config.at("head_dim").get<int64_t>(), longest = config.at("max_position_embeddings").get<int64_t>(),
             original = gguf_integer(file, "rope.scaling.original_context_length", 2, longest),
             window = gguf_integer(file, "attention.sliding_window", 0, 0);
  config["original_max_position_embeddings"] = original;
  config["partial_rotary_factor"] = share(gguf_integer(file, "rope.dimension_count", 2, head), head);
  config["sliding_window"] = window > 0 && window < longest ? json(window) : json();
  const auto short_ones = gguf_list(file, kShortFactors), long_ones = gguf_list(file, kLongFactors);
  if (!short_ones && !long_ones) return;
  if (!short_ones || !long_ones)
    fail(ErrorKind::weights, fmt::format("{}: {} or {} is missing", file.path().string(), kShortFactors, kLongFactors),
         "take the model's Hugging Face directory");
  json rope = {{"type", "longrope"}, {"short_factor", *short_ones}, {"long_factor", *long_ones}};
  const double usual = usual_attention_factor(static_cast<double>(longest), static_cast<double>(original)),
               stored = gguf_number(file, "rope.scaling.attn_factor", usual);
  if (std::abs(stored - usual) > 1e-6) rope["attention_factor"] = stored;
  config["rope_scaling"] = rope;
}

void put_phi3(GgufModel& out, const JsonTable& config, const JsonTable& rope) {
  const auto put = [&](const char* key, int64_t number) {
    out.metadata.put(fmt::format("phi3.{}", key), static_cast<uint32_t>(number));
  };
  const auto longest = config.integer("max_position_embeddings", 4096, 1, kMost),
             original = config.integer("original_max_position_embeddings", 4096, 1, kMost);
  out.metadata.put("phi3.rope.freq_base", static_cast<float>(rope_theta(config, rope)));
  put("rope.scaling.original_context_length", original);
  put("attention.sliding_window", config.integer("sliding_window", 0, 0, kMost));
  const auto type = rope_type(rope);
  if (type == "default") return;
  if (type != "longrope" && type != "su" && type != "yarn") rope.refuse("rope_type", "'default' or 'longrope'");
  const double usual = usual_attention_factor(static_cast<double>(longest), static_cast<double>(original)),
               factor = rope.number("factor", 0, 0, 1e6);
  if (factor > 0 && !rope.find("attention_factor"))
    rope.refuse("factor", "none beside max_position_embeddings", "write its attention_factor into config.json");
  out.metadata.put("phi3.rope.scaling.attn_factor", static_cast<float>(rope.number("attention_factor", usual, 0, 1e6)));
  for (const auto& [name, key] : {std::pair(kShortFactors, "short_factor"), std::pair(kLongFactors, "long_factor")}) {
    const auto factors = tensor_of(rope, key);
    out.tensors.push_back({GgmlType::F32, {name, at::kFloat, factors.sizes().vec(), [factors] { return factors; }}});
  }
}

}  // namespace antiphon::weights
