// What routers of experts add to the loss of a training pass, and tell of it.
#pragma once
#include <antiphon/comm/group.h>
#include <antiphon/component/auxiliary_losses.h>
#include <antiphon/nn/pipeline_stage.h>

#include <ATen/core/Tensor.h>

#include <memory>

namespace antiphon::nn {

// The load-balancing loss of one forward pass through all layers (Fedus et al. 2021, equations 4 to 6; transformers:
// models/mixtral/modeling_mixtral.py, load_balancing_loss_func): experts · Σ_e f_e p_e, f_e the share of tokens that
// expert e was chosen for and p_e its mean probability, both over the tokens of all layers.
class LoadBalance : public std::enable_shared_from_this<LoadBalance> {
 public:
  // `scale`: what the loss is multiplied by.
  LoadBalance(int64_t experts, double scale);
  // y, whose backward pass adds the gradient of the loss to that of `probabilities` [tokens, experts], of which
  // `counts` [experts] says how often each was chosen. `count`: the tokens count; not if a block is computed again.
  at::Tensor attached(const at::Tensor& y, const at::Tensor& probabilities, const at::Tensor& counts, bool count);
  // Of processes that have some of the tokens each, once all layers were counted: of all tokens.
  void add_up(comm::Group& group);
  double value() const;
  // Of one probability, by expert [experts]; once all layers were counted.
  at::Tensor gradient() const;
  // What was counted, [2 experts + 1] float32, for a process that counts on; and what all have counted together.
  at::Tensor counted(const at::TensorOptions& options) const;
  void set_counted(const at::Tensor& sums);

 private:
  int64_t experts_;
  double scale_;
  at::Tensor sums_;  // over tokens and layers: how often chosen, probabilities [experts each], and of tokens; float32
};

struct RouterLossOptions {
  int64_t experts = 0;
  double balance = 0;   // coefficient of the load-balancing loss; 0: none
  double router_z = 0;  // of the router z-loss, the mean over tokens of logsumexp(logits)² (Zoph et al. 2022, equation
                        // 5), added up over layers; 0: none
  bool drops = false;   // experts have a capacity
};

// Of one forward pass.
class RouterLosses : public StageSums {
 public:
  // `share`: what the losses are multiplied by beside their coefficients. `tokens`: of the batch, those of other
  // processes that compute it as well included.
  RouterLosses(const RouterLossOptions& options, double share, int64_t tokens);
  // y of a layer, whose backward pass adds the gradients of the losses to that of its router's `logits` [tokens,
  // experts] float32 and of their softmax. `counts`: see LoadBalance; `again`: the layer is computed again.
  at::Tensor attached(at::Tensor y, const at::Tensor& logits, const at::Tensor& probabilities, const at::Tensor& counts,
                      bool again);
  // Of tokens times experts for each, how many were dropped.
  void dropped(const at::Tensor& count, int64_t of);
  // Once all layers were counted: over processes that have some of the tokens each, and what there is to tell.
  void finish(comm::Group* slices);
  void tell(AuxiliaryLosses& losses) const;
  at::Tensor counted(const at::TensorOptions& options) const override;
  void set_counted(const at::Tensor& sums) override;

 private:
  RouterLossOptions options_;
  double share_, tokens_;
  std::shared_ptr<LoadBalance> balance_;
  at::Tensor others_;  // [3] float32: z-losses, dropped, and of how many; undefined: none yet
  void add(int64_t place, const at::Tensor& value);
};

}  // namespace antiphon::nn
