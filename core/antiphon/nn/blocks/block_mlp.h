// The MLP of a transformer block.
#pragma once
#include <antiphon/nn/linear/linear.h>

#include <memory>
#include <string>

namespace antiphon::nn {

struct BlockMlpOptions {
  int64_t hidden_size = 0, intermediate_size = 0;
  std::string activation = "silu";
  bool gated = true;  // down(act(gate(x)) · up(x)) (Shazeer 2020), else down(act(up(x)))
  bool bias = false;
};

// Parameters: gate_proj (if it is gated), up_proj, down_proj.
class BlockMlp : public Module {
 public:
  explicit BlockMlp(const BlockMlpOptions& options);
  // x [tokens, hidden_size] -> the same shape.
  at::Tensor forward(const at::Tensor& x_td) const;
  const std::string& activation() const { return activation_; }

  std::unique_ptr<Linear> gate;  // or nullptr
  Linear up, down;

 private:
  std::string activation_;
};

}  // namespace antiphon::nn
