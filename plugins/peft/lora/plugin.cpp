// Reads and writes PEFT's format: adapter_config.json with peft_type LORA, keys <site>.lora_A.weight / lora_B.weight,
// <site>.lora_magnitude_vector of DoRA, <embedding>.lora_embedding_A / B, <table>.token_adapter.trainable_tokens_delta,
// and beside them what is trained of the part itself.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <antiphon/base/error.h>
#include <antiphon/component/adapter_file.h>
#include <antiphon/component/peft.h>
#include <antiphon/component/register.h>
#include <antiphon/component/token_table.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/nn/linear/site_adapters.h>
#include <antiphon/plugin/manifest.h>

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "adapter.h"
#include "file_keys.h"
#include "join.h"
#include "keys.h"
#include "options.h"
#include "own_parameters.h"
#include "stacks.h"
#include "tables.h"

namespace antiphon::lora {

class Lora : public Peft, private Module {
 public:
  explicit Lora(const LoraOptions& options)
      : options_(options),
        ranks_("rank_pattern", options.rank_pattern, 1, /*whole=*/true),
        alphas_("alpha_pattern", options.alpha_pattern, 0, /*whole=*/false) {
    if (options.pissa_niter > 0 && !starts_from_weight())
      fail(ErrorKind::config, fmt::format("lora: pissa_niter beside init = \"{}\"", options.init),
           "set init = \"pissa\", or leave pissa_niter out");
  }

  std::vector<std::string> attach(const PeftTarget& target) override {
    if (target.hidden_size > 0) task_type_ = "CAUSAL_LM";
    auto places = target.sites;
    places.insert(places.end(), target.tables.begin(), target.tables.end());
    if (!options_.saves_alone()) chosen_ = nn::chosen_sites("lora", options_.choice(), places);
    ranks_.check_used(chosen_), alphas_.check_used(chosen_);
    also_trained_ = own_parameters(options_, target, chosen_);
    std::vector<Site> layers, tables;
    for (const auto& site : chosen_) (site.table ? tables : layers).push_back(site);
    auto paths = sites_.attach(layers, [this](const Site& site) { return made_for(site); });
    const auto of_tables = attach_tables(tables, trained_tokens(options_.trainable_token_indices, target.tables));
    tables_.set_unchanged(target.tables);
    paths.insert(paths.end(), of_tables.begin(), of_tables.end());
    return paths;
  }

  std::vector<std::string> also_trained() const override { return also_trained_; }

  void start(uint64_t seed) override {
    for (size_t i = 0; i < adapters_.size(); ++i) {
      auto& layer = *sites_.sites()[i].linear;
      adapters_[i]->start(*layer.below(*adapters_[i]), layer, at::detail::createCPUGenerator(seed + i));
    }
    tables_.start(seed + adapters_.size());
  }

  Module& module() override { return *this; }

  // PEFT wraps the layers that it changes, and their biases with them.
  std::string key_of(const std::string& parameter) const override {
    const auto site = parameter.substr(0, parameter.rfind('.'));
    const bool wrapped = parameter.ends_with(".bias") && std::ranges::count(sites_.sites(), site, &Site::path) > 0;
    return Peft::key_of(wrapped ? site + kPeftBase + ".bias" : parameter);
  }

  // A kept start is a second part of the change, so that the file is that of an ordinary one.
  std::vector<std::pair<std::string, at::Tensor>> file_tensors() override {
    if (!starts_from_weight()) return Peft::file_tensors();
    std::vector<std::pair<std::string, at::Tensor>> all;
    for (const auto& [name, tensor] : Peft::file_tensors())
      if (name.ends_with(kLengths) || name.find(kPeftTokens) != std::string::npos) all.emplace_back(name, tensor);
    for (size_t i = 0; i < adapters_.size(); ++i) {
      const auto whole = adapters_[i]->whole();
      all.emplace_back(sites_.sites()[i].path + kFactorA, whole.a.detach().contiguous());
      all.emplace_back(sites_.sites()[i].path + kFactorB, whole.b.detach().contiguous());
    }
    return all;
  }

  std::vector<Parameter> copies_of_part() const override { return tables_.copies_of_part(); }
  std::vector<std::pair<std::string, std::string>> repeated_keys() const override { return tables_.repeated_keys(); }

  std::string stack_layers(AdapterFile& file, const StackedPart& part) const override {
    return into_stacks(file, part);
  }
  bool unstack_layers(AdapterFile& file, const StackedPart& part) override { return out_of_stacks(file, *this, part); }

  std::string join(AdapterFile& whole, const AdapterFile& part,
                   const std::function<std::string(const std::string& layer)>& in_whole) const override {
    return lora::join(whole, part, in_whole);
  }

  nlohmann::json adapter_config() const override {
    const int64_t ranks = starts_from_weight() ? 2 : 1;
    const double alphas = options_.rslora ? std::sqrt(static_cast<double>(ranks)) : static_cast<double>(ranks);
    return {{"peft_type", "LORA"},
            {"task_type", task_type_},
            {"r", options_.rank * ranks},
            {"lora_alpha", options_.alpha * alphas},
            {"rank_pattern", ranks_.times(static_cast<double>(ranks))},
            {"alpha_pattern", alphas_.times(alphas)},
            {"lora_dropout", options_.dropout},
            {"use_rslora", options_.rslora},
            {"use_dora", options_.dora},
            {"init_lora_weights", true},
            {kPeftBias, options_.bias},
            {"modules_to_save", options_.modules_to_save},
            {kPeftTokenIndices, token_indices(options_)},
            {"inference_mode", true},
            {"fan_in_fan_out", false},
            {"target_modules", nn::chosen_names(options_.choice(), chosen_)}};
  }

  ForeignKeys config_keys() const override { return lora_keys(options_, tables_.low_rank_of_tied()); }
  std::vector<std::string> compared_keys() const override {
    return {"r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora", "use_dora"};
  }
  bool exact_gradient() const override { return !options_.dora; }
  std::string why_not_merged() const override { return tables_.part_of_tied() ? nn::kPartOfTied : ""; }
  void merge() override {
    if (can_merge()) sites_.merge();
    tables_.merge();
  }

 private:
  bool starts_from_weight() const { return options_.init == "pissa"; }

  LoraShape shape_of(const std::string& path, int64_t in, int64_t out) const {
    const double rank = ranks_.of(path, static_cast<double>(options_.rank));
    LoraShape shape{in, out, static_cast<int64_t>(rank)};
    shape.scale = alphas_.of(path, options_.alpha) / (options_.rslora ? std::sqrt(rank) : rank);
    shape.dropout = options_.dropout, shape.init = options_.init, shape.dora = options_.dora;
    shape.svd_iterations = options_.pissa_niter, shape.drops_output = options_.dropout_position == "post";
    return shape;
  }

  std::vector<std::string> attach_tables(const std::vector<Site>& chosen, const std::vector<TrainedTokens>& tokens) {
    for (const auto& tables : tokens)
      for (const auto& site : tables.tables)
        if (std::ranges::count(also_trained_, site.path + kWeightEnd) > 0)
          fail(ErrorKind::config,
               fmt::format("lora: {} is among modules_to_save and in trainable_token_indices", site.path),
               "train all of its rows, or some");
    return tables_.attach(
        chosen, tokens,
        [this](const Site& site, int64_t in, int64_t out) {
          const auto shape = shape_of(site.path, in, out);
          check_table(site.path, shape);
          if (site.table->is_head) check(site.path, shape);  // an embedding begins in one way alone
          return shape;
        },
        [this](const std::string& path, Module& module) { add(path, module); });
  }

  // The start of PiSSA and DoRA's lengths are of layers that this method has by themselves.
  static void check_table(const std::string& path, const LoraShape& shape) {
    const std::string beside = shape.dora                                ? "dora"
                               : shape.init == "pissa"                   ? "init = \"pissa\""
                               : shape.drops_output && shape.dropout > 0 ? "dropout_position = \"post\""
                                                                         : "";
    if (!beside.empty())
      fail(ErrorKind::config, fmt::format("lora: {} cannot be changed with {}", path, beside),
           "put the embedding and the head into a [[peft]] of their own, without it");
  }

  std::shared_ptr<LinearAdapter> made_for(const Site& site) {
    const auto shape = shape_of(site.path, site.linear->in(), site.linear->out());
    check(site.path, shape);
    adapters_.push_back(std::make_shared<LoraAdapter>(site.path, shape));
    add(site.path, *adapters_.back());
    return adapters_.back();
  }

  static void check(const std::string& path, const LoraShape& shape) {
    if (shape.drops_output && (shape.dora || shape.init == "pissa"))
      fail(ErrorKind::config,
           fmt::format("lora: {}: dropout_position = \"post\" beside {}", path,
                       shape.dora ? "dora" : "init = \"pissa\""),
           "leave dropout_position out: what is dropped then is the adapter's input");
    if (shape.init == "orthogonal" && shape.rank % 2 != 0)
      fail(ErrorKind::config, fmt::format("lora: {}: init = \"orthogonal\" has a rank of {}", path, shape.rank),
           "use an even rank");
    if (shape.init == "pissa" && shape.rank > std::min(shape.in, shape.out))
      fail(ErrorKind::config,
           fmt::format("lora: {}: init = \"pissa\" has a rank of {}, and the weight [{}, {}] has fewer singular values",
                       path, shape.rank, shape.out, shape.in),
           "use a smaller rank, or rank_pattern");
  }

  LoraOptions options_;
  SiteNumbers ranks_, alphas_;
  nn::SiteAdapters sites_;
  std::vector<std::shared_ptr<LoraAdapter>> adapters_;  // of these sites
  std::vector<Site> chosen_;                            // and tables
  Tables tables_;
  std::vector<std::string> also_trained_;
  nlohmann::json task_type_;  // PEFT's, of what it is attached to; null: none in particular
};

}  // namespace antiphon::lora

ANTIPHON_PLUGIN(lora, "0.1.0") {
  using namespace antiphon::lora;
  antiphon::register_component<antiphon::Peft, Lora>(registrar, "lora", "low-rank adapters on linear sites",
                                                     lora_table());
}
