// Groups of parameters with their rates, clipping, and the state that checkpoints keep, around an update rule.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include <antiphon/checkpoint/stored_tensor.h>
#include <antiphon/component/module.h>
#include <antiphon/component/update_rule.h>
#include <antiphon/train/options.h>

namespace antiphon::train {

// Error(config) if one of them matches nothing of what is trained.
void check_groups(const std::vector<GroupOptions>& groups, const std::vector<Parameter>& trained);

class Optimizer {
 public:
  // `all`: what is trained, of which this process updates `parameters`. Error(config) if there is nothing, or if a
  // group matches none of it. `rule` must outlive it.
  Optimizer(std::vector<Parameter> parameters, const std::vector<Parameter>& all, const TrainOptions& options,
            UpdateRule& rule);
  Optimizer(const std::vector<Parameter>& all, const TrainOptions& options, UpdateRule& rule)
      : Optimizer(all, all, options, rule) {}

  // One update with every group's rate times `lr_ratio`, then the gradients are dropped. A parameter without a
  // gradient is left alone. Of a parameter in bfloat16 the rule sees float32, and what it gives is rounded by chance,
  // by `key` and the parameter's name (stochastic_rounding.h); its state is in float32, too.
  void step(double lr_ratio, uint64_t key = 0);
  // What processes that hold parameters together must agree on: which of them counts a parameter, and the sum of all.
  struct Joint {
    std::function<bool(const Parameter&)> counts;
    std::function<double(double)> add_up;
  };
  // Scales the gradients so that their joint norm is at most `max_norm` (0: leaves them); returns the norm before.
  double clip(double max_norm, const Joint* joint = nullptr);
  // Multiplies the gradients by `factor`.
  void scale_gradients(double factor);
  void drop_gradients();

  const std::vector<Parameter>& parameters() const { return parameters_; }
  // "<parameter>#<name>", as the rule names them, each as a parameter, and of which parameter it is. A tensor of its
  // shape is a piece as the parameter is.
  struct State {
    Parameter value;
    const Parameter* of = nullptr;
  };
  std::vector<State> state();
  void restore(const checkpoint::StoredTensors& state);
  // "lora 3.7 M at 2e-4, …" for the start banner.
  std::string describe() const;

 private:
  struct Group {
    double lr = 0, weight_decay = 0;
    std::string label;
    std::vector<size_t> members;
  };
  void assign_groups(const TrainOptions& options, const std::vector<Parameter>& all);
  void update_narrow(size_t index, const Group& group, double lr_ratio, uint64_t key);
  OptimizerOptions options_;
  UpdateRule& rule_;
  std::vector<Parameter> parameters_;
  std::vector<std::vector<std::pair<std::string, at::Tensor>>> state_;  // of each parameter
  std::vector<Group> groups_;
};

}  // namespace antiphon::train
