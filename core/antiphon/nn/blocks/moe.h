// Mixtures of experts: each token goes through the MLPs that a router chooses (Shazeer et al. 2017; Jiang et al. 2024,
// Mixtral; transformers: models/mixtral, models/qwen3_moe). Dropless: every token reaches all of its experts.
#pragma once
#include <antiphon/comm/group.h>
#include <antiphon/nn/blocks/block_mlp.h>

#include <memory>
#include <vector>

namespace antiphon::nn {

struct MoeOptions {
  int64_t experts = 0, top_k = 2;  // 0 experts: dense
  int64_t intermediate_size = 0;   // of an expert
  bool normalize = true;           // the weights of a token's experts add up to 1
  bool wide_shares = false;        // float32 weights, also beside bf16
  double balance = 0;              // coefficient of the load-balancing loss while training
};

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

 private:
  int64_t experts_;
  double scale_, tokens_ = 0;
  at::Tensor chosen_, probability_;  // [experts] float32: sums over tokens and layers
};

// With a group, the experts are divided among its processes (expert_exchange.h), each of which has tokens of its own.
//
// Parameters: gate.weight [experts, hidden_size], the router's; experts.N.{gate,up,down}_proj.
class MixtureOfExperts : public Module {
 public:
  MixtureOfExperts(int64_t hidden_size, const std::string& activation, const MoeOptions& options);
  // x [tokens, hidden_size] -> the same shape. The last `padding` tokens are sent nowhere and give zeros. `balance`:
  // nullptr: no such loss is wanted. Logits in the dtype of x, their softmax in float32.
  at::Tensor forward(const at::Tensor& x_td, int64_t padding, const std::shared_ptr<LoadBalance>& balance) const;
  // Keeps this process's experts, on the meta device still. No more processes than experts.
  void share(comm::Group& group);

 private:
  struct Routes;
  Routes route(const at::Tensor& x_td) const;
  at::Tensor compute(const at::Tensor& x_td, const Routes& routes) const;
  at::Tensor through_experts(const at::Tensor& rows_nd, size_t first, const std::vector<int64_t>& counts) const;
  MoeOptions options_;
  at::Tensor gate_;
  std::vector<std::unique_ptr<BlockMlp>> experts_;
  comm::Group* group_ = nullptr;
};

}  // namespace antiphon::nn
