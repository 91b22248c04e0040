#include "train_steps.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <limits>

#include <antiphon/model/slot.h>
#include <antiphon/nn/token_scores.h>
#include <antiphon/run/training_slots.h>

namespace antiphon::bench {
namespace {

train::TrainOptions options() {
  train::TrainOptions options;
  options.optimizer.lr = 1e-4;
  return options;
}

std::vector<double> rates(const std::vector<double>& walls, int64_t tokens) {
  std::vector<double> rates;
  for (const double wall : walls) rates.push_back(static_cast<double>(tokens) / wall);
  return rates;
}

}  // namespace

Steps::Steps(model::MultimodalLm& model, bool recompute)
    : model_(model),
      options_(options()),
      rule_(run::build_update_rule(options_.optimizer)),
      optimizer_(model.trainable_parameters(), options_, *rule_) {
  if (recompute) recompute_.emplace(std::numeric_limits<int64_t>::max());
}

void Steps::operator()(model::Batch batch) {
  const nn::BlockPolicyScope policy(recompute_ ? &*recompute_ : nullptr);
  model_.encode(batch);
  const auto hidden = model_.forward(batch).index_select(0, batch.supervised_n);
  const auto loss =
      -nn::token_scores(hidden, model_.llm().head_weight(), batch.labels_n, {.even_gradient = true}).mean();
  torch::autograd::backward({loss}, {});
  optimizer_.step(1.0);
  losses_.push_back(loss.item<double>());
}

nlohmann::json Steps::facts() const {
  int64_t trained = 0;
  for (const auto& parameter : optimizer_.parameters()) trained += parameter.tensor->numel();
  return {{"trainable", trained}, {"loss0", losses_.front()}, {"loss_last", losses_.back()}};
}

void report(const std::string& name, const Flags& flags, const Steps& steps, nlohmann::json facts, int64_t tokens,
            const std::vector<double>& walls) {
  facts.update(steps.facts());
  facts["dtype"] = flags.dtype;
  emit(name, facts, {{"wall_med_s", walls}, {"tokens_per_s", rates(walls, tokens)}});
}

}  // namespace antiphon::bench
