// Training steps as train::Trainer makes them, without its clipping (the peers have none either).
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <antiphon/model/multimodal_lm.h>
#include <antiphon/nn/blocks/recompute.h>
#include <antiphon/train/optimizer.h>

#include "verbs.h"

namespace antiphon::bench {

class Steps {
 public:
  explicit Steps(model::MultimodalLm& model, bool recompute = false);
  // The batch is copied, so that its media are encoded anew in each step.
  void operator()(model::Batch batch);
  nlohmann::json facts() const;

 private:
  model::MultimodalLm& model_;
  train::TrainOptions options_;
  std::unique_ptr<UpdateRule> rule_;
  train::Optimizer optimizer_;
  std::optional<nn::Recompute> recompute_;
  std::vector<double> losses_;
};

// `facts` and those of the steps; tokens a second.
void report(const std::string& name, const Flags& flags, const Steps& steps, nlohmann::json facts, int64_t tokens,
            const std::vector<double>& walls);

}  // namespace antiphon::bench
