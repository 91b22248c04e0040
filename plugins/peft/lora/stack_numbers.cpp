#include "stack_numbers.h"

#include <fmt/format.h>

#include <antiphon/base/strings.h>
#include <antiphon/nn/linear/site_choice.h>

#include <cmath>

#include "file_keys.h"

namespace antiphon::lora {
namespace {

double scale_of(const nlohmann::json& config, double r, double alpha) {
  return alpha / (config.value("use_rslora", false) ? std::sqrt(r) : r);
}

// PEFT's patterns are regular expressions. Those that name the stack at their end are of it alone.
bool is_of(const std::string& pattern, const std::string& name, const std::string& site) {
  return ends_in(site, name) ||
         (name.ends_with(last_of(site)) && nn::NamePattern::of_ends(pattern, name).matches(site));
}

}  // namespace

double StackNumbers::number(const std::string& pattern, const std::string& site, const char* otherwise) {
  const auto found = config_.find(pattern);
  if (found != config_.end() && found->is_object())
    for (const auto& [name, value] : found->items())
      if (value.is_number() && is_of(pattern, name, site)) {
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

void put_stack_numbers(nlohmann::json& config, const std::map<std::string, int64_t>& ranks) {
  std::map<std::string, std::set<int64_t>> by_name;
  for (const auto& [site, rank] : ranks) by_name[last_of(site)].insert(rank);
  const auto r = config.at("r").get<double>(), alpha = config.at("lora_alpha").get<double>();
  for (const auto& [site, rank] : ranks) {
    const double times = static_cast<double>(rank) / r;
    if (times == 1) continue;
    const auto name = by_name[last_of(site)].size() == 1 ? last_of(site) : site;
    config["rank_pattern"][name] = rank;
    config["alpha_pattern"][name] = alpha * (config.value("use_rslora", false) ? std::sqrt(times) : times);
  }
}

}  // namespace antiphon::lora
