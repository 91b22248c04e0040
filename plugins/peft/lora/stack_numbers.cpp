#include "stack_numbers.h"

#include <fmt/format.h>

#include <cmath>

#include "file_keys.h"

namespace antiphon::lora {
namespace {

double scale_of(const nlohmann::json& config, double r, double alpha) {
  return alpha / (config.value("use_rslora", false) ? std::sqrt(r) : r);
}

}  // namespace

double StackNumbers::number(const std::string& pattern, const std::string& site, const char* otherwise) {
  const auto found = config_.find(pattern);
  if (found != config_.end() && found->is_object())
    for (const auto& [name, value] : found->items())
      if (is_named(site, name) && value.is_number()) {
        used_[pattern].insert(name);
        return value.get<double>();
      }
  return config_.value(otherwise, 0.0);
}

std::string StackNumbers::why_not(const std::string& site, int64_t rank) {
  const double r = number("rank_pattern", site, "r"), alpha = number("alpha_pattern", site, "lora_alpha");
  if (static_cast<double>(rank) != r) return fmt::format("has rank {}, and its settings say {}", rank, r);
  const double got = scale_of(config_, r, alpha),
               own = scale_of(attached_, attached_.value("r", 1.0), attached_.value("lora_alpha", 0.0));
  if (std::abs(got - own) <= 1e-9 * std::abs(own)) return {};
  return fmt::format("is multiplied by {}, and that of the attached adapters by {}", got, own);
}

void StackNumbers::forget() {
  for (const auto& [pattern, names] : used_)
    for (const auto& name : names) config_[pattern].erase(name);
}

}  // namespace antiphon::lora
