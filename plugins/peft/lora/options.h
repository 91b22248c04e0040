// The options of LoRA, as PEFT's LoraConfig has them.
#pragma once
#include <antiphon/component/pretrained.h>
#include <antiphon/config/schema.h>
#include <antiphon/nn/linear/site_choice.h>

#include <nlohmann/json_fwd.hpp>

namespace antiphon::lora {

struct LoraOptions : nn::SiteOptions {
  int64_t rank = 8;
  double alpha = 16, dropout = 0;
  bool rslora = false, dora = false;
  std::string dropout_position = "pre", init = "kaiming", bias = "none";
  int64_t pissa_niter = 0;
  std::vector<std::string> modules_to_save = {};
  config::Value trainable_token_indices = config::Value::Array{};
  config::Value rank_pattern = config::Value::Table{}, alpha_pattern = config::Value::Table{};

  nn::SiteChoice choice() const { return SiteOptions::choice(modules_to_save); }
  bool trains_tokens() const {
    const auto* list = trainable_token_indices.get_if<config::Value::Array>();
    return !list || !list->empty();
  }
  // No layer is changed beside the modules and tokens that are trained themselves.
  bool saves_alone() const {
    const auto* list = targets.get_if<config::Value::Array>();
    return list && list->empty() && (!modules_to_save.empty() || trains_tokens());
  }
  void read_pretrained(const PretrainedConfig& pretrained);
};

const config::Table<LoraOptions>& lora_table();

// trainable_token_indices as PEFT's file has them; null: there are none.
nlohmann::json token_indices(const LoraOptions& options);

// Numbers for the sites that a regular expression matches, as a whole or from behind a dot: PEFT's rank_pattern and
// alpha_pattern. Error(config) if a pattern or a number is malformed.
class SiteNumbers {
 public:
  // `key` for messages: "rank_pattern". Numbers are `least` or more, and whole if that is wanted.
  SiteNumbers(std::string key, const config::Value& table, double least, bool whole);
  // Error(config) if patterns give this site different numbers.
  double of(const std::string& path, double otherwise) const;
  // Error(config) if a pattern matches none of them.
  void check_used(const std::vector<Site>& sites) const;
  nlohmann::json times(double factor) const;

 private:
  struct Entry {
    std::string source;
    nn::NamePattern pattern;
    double number;
  };
  std::string key_;
  bool whole_;
  std::vector<Entry> entries_;
};

}  // namespace antiphon::lora
