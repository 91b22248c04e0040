#include "join.h"

#include <algorithm>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/nn/linear/site_choice.h>

#include "file_keys.h"

namespace antiphon::lora {
namespace {

using nlohmann::json;

// The layer of a key and what stands behind it; a part that is one layer has no name for it.
std::pair<std::string, std::string> divided(const std::string& key) {
  const auto site = lora_site(key);
  return {site, key.substr(kPeftPrefix.size() + site.size())};
}

double alpha_of(const json& config, const std::string& site) {
  double alpha = config["lora_alpha"];
  for (const auto& [pattern, number] : config["alpha_pattern"].items())
    if (nn::NamePattern::of_ends("alpha_pattern", pattern).matches(site)) alpha = number;
  return alpha;
}

// What PEFT has one value of.
std::string why_not(const json& whole, const AdapterFile& part) {
  if (part.config.value(kPeftBias, "none") != "none") return part.path + " trains biases, too";
  if (!part.config.value(kPeftParameters, json::array()).empty()) return part.path + " changes experts";
  for (const auto* key : {"use_dora", "use_rslora"})
    if (!whole.is_null() && whole[key] != part.config[key])
      return fmt::format("{} of {} is {}, of another part {}", key, part.path, part.config[key].dump(),
                         whole[key].dump());
  return {};
}

}  // namespace

std::string join(AdapterFile& whole, const AdapterFile& part,
                 const std::function<std::string(const std::string& layer)>& in_whole) {
  if (auto why = why_not(whole.config, part); !why.empty()) return why;
  auto& config = whole.config;
  if (config.is_null()) {
    config = part.config;
    config["rank_pattern"] = config["alpha_pattern"] = json::object();
    config["target_modules"] = json::array();
  }
  for (const auto& [key, tensor] : part.tensors) {
    const auto [own, end] = divided(key);
    if (key.ends_with(kPeftTokens)) return part.path + " trains rows of tokens, too";
    if (own.empty() && !end.starts_with("lora_")) return fmt::format("{}: '{}' is not LoRA's", part.path, key);
    const auto site = in_whole(own);
    if (end.ends_with(kLengths.substr(1)) && at::count_nonzero(tensor).item<int64_t>() == 0)
      return part.path + ": dora begins when it is trained; export the folder of a run";
    whole.tensors.emplace_back(kPeftPrefix + site + (own.empty() ? "." : "") + end, tensor);
    if (!end.ends_with(kFactorA.substr(1)) && end != kEmbeddingA) continue;
    auto& sites = config["target_modules"];
    if (std::ranges::count(sites, json(site)) > 0) return fmt::format("two methods change {}", site);
    sites.push_back(site);
    // Rank and alpha are said for each site of which they are not those of the first part.
    if (config["r"] != tensor.size(0)) config["rank_pattern"][site] = tensor.size(0);
    if (const double alpha = alpha_of(part.config, own); config["lora_alpha"].get<double>() != alpha)
      config["alpha_pattern"][site] = alpha;
  }
  return {};
}

}  // namespace antiphon::lora
