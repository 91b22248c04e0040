// Experts divided among processes: each token goes to the processes that have its experts, and what they give comes
// back (Lepikhin et al. 2020, GShard; Rajbhandari et al. 2022, DeepSpeed-MoE). Dropless, so how many go where depends
// on the data; who exchanges with whom, and how often, does not.
#pragma once
#include <ATen/core/Tensor.h>

#include <antiphon/comm/group.h>
#include <antiphon/nn/token_slices.h>

#include <vector>

namespace antiphon::nn {

// One exchange there and back.
class ExpertExchange {
 public:
  // Every process says how many of its rows each expert gets, [experts] int64; the processes have equal parts of the
  // experts, to one (token_slices.h, part_of).
  ExpertExchange(const at::Tensor& counts_e, comm::Group& group);
  // Rows in the order of all experts -> those of this process's, in their order. Differentiable, in all processes
  // alike: even one without rows takes part in the backward pass, if any row wants a gradient in any process.
  at::Tensor to_experts(const at::Tensor& rows_nd) const;
  at::Tensor from_experts(const at::Tensor& rows_nd) const;  // and what they give back
  // How many of the rows each of this process's experts gets.
  const std::vector<int64_t>& counts() const { return counts_; }

 private:
  comm::Group& group_;
  std::vector<int64_t> to_, from_;  // rows to each process and from each
  std::vector<int64_t> counts_;
  at::Tensor by_expert_, by_process_;  // what is received in the order of experts, and back
};

// x, with a gradient even if nothing before it has one here: other processes wait for it in the backward pass.
at::Tensor wanting_gradient(const at::Tensor& x);

}  // namespace antiphon::nn
