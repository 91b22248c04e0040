// Reads and writes PEFT's format: adapter_config.json with peft_type LORA, keys <site>.lora_A.weight / lora_B.weight.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <antiphon/base/strings.h>
#include <antiphon/component/peft.h>
#include <antiphon/component/register.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/plugin/manifest.h>

#include <cmath>
#include <set>

#include "adapter.h"

namespace antiphon::lora {

struct LoraOptions {
  int64_t rank = 8;
  double alpha = 16, dropout = 0;
  bool rslora = false;
  std::vector<std::string> targets = {"q_proj", "v_proj"};
};

const config::Table<LoraOptions>& lora_table() {
  using O = LoraOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("lora")
          .field("rank", &O::rank, "rank of the update", {.min = 1, .max = 4096})
          .field("alpha", &O::alpha, "the update is scaled by alpha / rank", {.min = 0, .above_min = true})
          .field("rslora", &O::rslora, "scale by alpha / sqrt(rank) instead (Kalajdzievski 2023)")
          .field("dropout", &O::dropout, "on the adapter's input, in training", {.min = 0, .max = 1})
          .field("targets", &O::targets,
                 "last parts of site names, or globs over whole names; \"all-linear\" for every site"));
  return *table;
}

// PEFT's rule: the whole name or its end after a dot; a glob is matched against the whole name.
bool matches(const std::string& target, const std::string& path) {
  if (target == "all-linear" || target == path || glob_match(target, path)) return true;
  return path.size() > target.size() && path.ends_with("." + target);
}

class Lora : public Peft, private Module {
 public:
  explicit Lora(const LoraOptions& options) : options_(options) {}

  std::vector<std::string> attach(const std::vector<Site>& sites) override {
    std::set<std::string> unmatched(options_.targets.begin(), options_.targets.end());
    std::vector<std::string> paths;
    for (const auto& site : sites) {
      bool hit = false;
      for (const auto& target : options_.targets)
        if (matches(target, site.path)) unmatched.erase(target), hit = true;
      if (!hit) continue;
      attach_to(site);
      paths.push_back(site.path);
    }
    if (!unmatched.empty()) fail_unmatched(unmatched, sites);
    return paths;
  }

  Module& module() override { return *this; }

  nlohmann::json adapter_config() const override {
    return {{"peft_type", "LORA"},
            {"task_type", "CAUSAL_LM"},
            {"r", options_.rank},
            {"lora_alpha", options_.alpha},
            {"lora_dropout", options_.dropout},
            {"use_rslora", options_.rslora},
            {"bias", "none"},
            {"inference_mode", true},
            {"fan_in_fan_out", false},
            {"target_modules", target_names()}};
  }

  void merge() override {
    c10::AutoGradMode no_grad(false);
    for (auto& site : sites_) {
      auto& weight = site.linear->weight;
      weight = site.linear->adapter->merged_weight(weight).to(weight.scalar_type());
      site.linear->adapter.reset();
    }
    sites_.clear();
  }

 private:
  void attach_to(const Site& site) {
    if (site.linear->adapter)
      fail(ErrorKind::config, fmt::format("site {} has an adapter already", site.path),
           "give each PEFT method its own targets");
    const double rank = static_cast<double>(options_.rank);
    const double scale = options_.alpha / (options_.rslora ? std::sqrt(rank) : rank);
    auto adapter =
        std::make_shared<LoraAdapter>(site.linear->in(), site.linear->out(), options_.rank, scale, options_.dropout);
    add(site.path, *adapter);
    site.linear->adapter = adapter;
    sites_.push_back(site);
    adapters_.push_back(std::move(adapter));
  }

  // PEFT matches these by suffix or whole name; what was attached by a glob is written out.
  std::vector<std::string> target_names() const {
    std::set<std::string> names;
    for (const auto& site : sites_) {
      bool plain = false;
      for (const auto& target : options_.targets)
        if (site.path.ends_with("." + target)) names.insert(target), plain = true;
      if (!plain) names.insert(site.path);
    }
    return {names.begin(), names.end()};
  }

  [[noreturn]] void fail_unmatched(const std::set<std::string>& unmatched, const std::vector<Site>& sites) const {
    std::set<std::string> ends;
    for (const auto& site : sites) ends.insert(site.path.substr(site.path.rfind('.') + 1));
    const std::vector<std::string> known(ends.begin(), ends.end());
    const std::vector<std::string> missing(unmatched.begin(), unmatched.end());
    const auto guess = nearest(missing.front(), known);
    fail(ErrorKind::config,
         fmt::format("lora: no site matches the target{} {}; {} sites end in: {}", missing.size() > 1 ? "s" : "",
                     join(missing, ", "), sites.size(), join(known, ", ")),
         guess.empty() ? "name some of these in `targets`" : "did you mean '" + guess + "'?");
  }

  LoraOptions options_;
  std::vector<Site> sites_;
  std::vector<std::shared_ptr<LoraAdapter>> adapters_;
};

}  // namespace antiphon::lora

ANTIPHON_PLUGIN(lora, "0.1.0") {
  using namespace antiphon::lora;
  antiphon::register_component<antiphon::Peft, Lora>(registrar, "lora", "low-rank adapters on linear sites",
                                                     lora_table());
}
