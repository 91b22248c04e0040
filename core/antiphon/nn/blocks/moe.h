// Mixtures of experts: each token goes through the MLPs that a router chooses (Shazeer et al. 2017; Jiang et al. 2024,
// Mixtral; transformers: models/mixtral, models/qwen3_moe). Every token reaches all of its experts, unless these have a
// capacity.
#pragma once
#include <antiphon/comm/group.h>
#include <antiphon/nn/blocks/block_mlp.h>
#include <antiphon/nn/blocks/expert_capacity.h>
#include <antiphon/nn/blocks/router_losses.h>

#include <memory>
#include <vector>

namespace antiphon::nn {

struct MoeOptions {
  int64_t experts = 0, top_k = 2;  // 0 experts: dense
  int64_t intermediate_size = 0;   // of an expert
  bool normalize = true;           // the weights of a token's experts add up to 1
  bool wide_shares = false;        // float32 weights, also beside bf16
  double balance = 0;              // coefficient of the load-balancing loss while training
  double router_z = 0;             // of the router z-loss
  CapacityOptions capacity;        // while training; else no choice is dropped
  int64_t shared_size = 0;         // width of an MLP that all tokens go through as well, times sigmoid(w · x); 0: none
};

// With a group, the experts are divided among its processes (expert_exchange.h), each of which has tokens of its own.
//
// Parameters: gate.weight [experts, hidden_size], the router's; experts.N.{gate,up,down}_proj; with an MLP for all
// tokens (Dai et al. 2024, DeepSeekMoE; transformers: models/qwen2_moe) shared_expert.{gate,up,down}_proj and
// shared_expert_gate.weight [1, hidden_size].
class MixtureOfExperts : public Module {
 public:
  MixtureOfExperts(int64_t hidden_size, const std::string& activation, const MoeOptions& options);
  // x [tokens, hidden_size] -> the same shape. The last `padding` tokens are sent nowhere and give zeros. `losses`:
  // nullptr: none are wanted. Logits in the dtype of x, their softmax in float32.
  at::Tensor forward(const at::Tensor& x_td, int64_t padding, const std::shared_ptr<RouterLosses>& losses) const;
  // Keeps this process's experts, on the meta device still. No more processes than experts. `slices`: those of them
  // that have tokens of one batch, or nullptr.
  void share(comm::Group& group, comm::Group* slices);

 private:
  struct Routes;
  Routes route(const at::Tensor& x_td) const;
  void drop(Routes& routes, const at::Tensor& chosen, const at::Tensor& weights, const at::Tensor& order) const;
  at::Tensor of_shared(const at::Tensor& x_td) const;
  at::Tensor compute(const at::Tensor& x_td, const Routes& routes) const;
  at::Tensor through_experts(const at::Tensor& rows_nd, size_t first, const std::vector<int64_t>& counts) const;
  MoeOptions options_;
  at::Tensor gate_;
  std::vector<std::unique_ptr<BlockMlp>> experts_;
  std::unique_ptr<BlockMlp> shared_;  // or nullptr
  at::Tensor shared_gate_;
  comm::Group *group_ = nullptr, *slices_ = nullptr;
};

}  // namespace antiphon::nn
