// Parallel adapters (He et al. 2022, table 1 and section 3.3): beside a sublayer F of attention or an MLP, y = F(x) +
// scale · up(act(down(x))), with biases, as in the authors' code (jxhe/unify-parameter-efficient-tuning). F begins at
// one linear layer and ends at another: an adapter of the first keeps x for the one of the last.
#pragma once
#include <memory>
#include <string>

#include <antiphon/component/peft.h>
#include <antiphon/nn/linear/linear.h>

namespace antiphon::parallel_adapters {

// What goes from the first layer of a sublayer to the last one, in each thread by itself.
class Passage {
 public:
  void put(const at::Tensor& x) const;
  // Gives it once. Error(internal) if the first layer has not been computed.
  at::Tensor take() const;
};

// At the first layer, which it does not change.
class SublayerStart : public LinearAdapter {
 public:
  explicit SublayerStart(std::shared_ptr<const Passage> passage) : passage_(std::move(passage)) {}
  at::Tensor forward(const at::Tensor& x, const LinearBase& base) override;
  void keep(bool) override {}
  void keep_outputs(int64_t, int64_t) override {}

 private:
  std::shared_ptr<const Passage> passage_;
};

struct ParallelShape {
  int64_t in = 0, out = 0, bottleneck = 0;  // of the sublayer; between
  int64_t last_in = 0;                      // of its last layer
  double scale = 1;
  std::string activation = "relu";
};

// At the last layer. It starts without a change, since `up` starts at zero.
class ParallelAdapter : public LinearAdapter, public Module {
 public:
  ParallelAdapter(const ParallelShape& shape, std::shared_ptr<const Passage> passage);
  at::Tensor forward(const at::Tensor& x, const LinearBase& base) override;
  void keep(bool all) override { Module::keep(all); }
  // Of the last layer's inputs: so large a share of the bottleneck.
  void keep_inputs(int64_t begin, int64_t size) override;

 private:
  ParallelShape shape_;
  nn::Linear down_;
  at::Tensor up_, up_bias_;  // [out, bottleneck], [out]
  bool adds_bias_ = true;
  std::shared_ptr<const Passage> passage_;
};

}  // namespace antiphon::parallel_adapters
