#include <fmt/format.h>

#include <antiphon/base/error.h>

#include <cmath>

#include "options.h"

namespace antiphon::phi3 {
namespace {

constexpr double kLeast = 1e-6, kMostFactor = 1e6;

std::vector<double> factors_in(const JsonTable& rope, const char* key) {
  const auto expected = fmt::format("a list of numbers above 0, up to {}", kMostFactor);
  const auto* list = rope.find(key);
  if (!list || !list->is_array() || list->empty()) rope.refuse(key, expected);
  std::vector<double> factors;
  for (const auto& value : *list) {
    const double factor = value.is_number() ? value.get<double>() : 0;
    if (!(factor > 0) || factor > kMostFactor) rope.refuse(key, expected);
    factors.push_back(factor);
  }
  return factors;
}

void check_length(const char* key, const std::vector<double>& factors, int64_t rotary_size) {
  if (std::ssize(factors) * 2 != rotary_size)
    fail(ErrorKind::config,
         fmt::format("phi3: {} has {} numbers; {} values of each head are turned, so that there are {} frequencies",
                     key, factors.size(), rotary_size, rotary_size / 2),
         "give one number for each frequency, in both lists, or leave both out");
}

// What cos and sin are multiplied by.
double table_multiplier(const Phi3Options& o) {
  if (o.rope_attention_factor > 0) return o.rope_attention_factor;
  const auto original = static_cast<double>(o.rope_original_max_positions);
  const double factor = o.rope_factor > 1 ? o.rope_factor : static_cast<double>(o.max_positions) / original;
  if (factor <= 1) return 1;
  if (o.rope_original_max_positions < 2)
    fail(ErrorKind::config, "phi3: rope_original_max_positions = 1 gives no rope_attention_factor",
         "set rope_attention_factor, or take a longer text");
  return std::sqrt(1 + std::log(factor) / std::log(original));
}

}  // namespace

JsonTable read_long_rope(const JsonTable& config, Phi3Options& options) {
  const auto rope = backbone::rope_table(config);
  const auto type = rope.text("rope_type", rope.text("type", "default"));
  if (type != "longrope" && type != "su" && type != "yarn") {
    if (type != "default")
      rope.refuse(rope.find("rope_type") ? "rope_type" : "type", "'default' or 'longrope', as transformers has it");
    return config;
  }
  check_keys(rope, {.other = {"rope_type", "type", "short_factor", "long_factor", "attention_factor", "factor",
                              "rope_theta", "partial_rotary_factor", "original_max_position_embeddings"}});
  options.rope_short_factors = factors_in(rope, "short_factor");
  options.rope_long_factors = factors_in(rope, "long_factor");
  options.rope_factor = rope.number("factor", 1, kLeast, kMostFactor);
  const double otherwise = rope.find("factor") && options.rope_factor <= 1 ? 1 : 0;
  options.rope_attention_factor = rope.number("attention_factor", otherwise, kLeast, kMostFactor);
  auto plain = nlohmann::json::object();
  for (const char* key : {"rope_theta", "partial_rotary_factor"})
    if (const auto* value = rope.find(key)) plain[key] = *value;
  return config.with("rope_scaling", nullptr).with("rope_parameters", plain);
}

void set_rope(const Phi3Options& o, nn::DecoderOptions& decoder) {
  decoder.rotary_size = static_cast<int64_t>(static_cast<double>(decoder.head_size) * o.partial_rotary_factor);
  if (decoder.rotary_size < 2 || decoder.rotary_size % 2 != 0)
    fail(ErrorKind::config,
         fmt::format("phi3: partial_rotary_factor = {} of a head of {} gives {} values; an even number is needed",
                     o.partial_rotary_factor, decoder.head_size, decoder.rotary_size));
  if (!o.has_long_texts()) return;
  if (o.rope_type != "none")
    fail(ErrorKind::config,
         fmt::format("phi3: rope_type = \"{}\" beside rope_short_factors and rope_long_factors", o.rope_type),
         "set rope_type = \"none\", or leave the factors out");
  check_length("rope_short_factors", o.rope_short_factors, decoder.rotary_size);
  check_length("rope_long_factors", o.rope_long_factors, decoder.rotary_size);
  auto& scaling = decoder.rope_scaling;
  scaling.type = "longrope", scaling.original_max_positions = o.rope_original_max_positions;
  scaling.short_factors = o.rope_short_factors, scaling.long_factors = o.rope_long_factors;
  scaling.table_multiplier = table_multiplier(o);
}

}  // namespace antiphon::phi3
