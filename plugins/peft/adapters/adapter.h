// A bottleneck adapter on what a linear layer gives: y' = y + up(act(down(norm(y)))), y = W x + b. Sources: Houlsby et
// al. 2019, section 2.1; NeMo 1.0, nemo/collections/nlp/modules/common/megatron/adapters/parallel_adapters.py, whose
// layers have no biases.
#pragma once
#include <memory>
#include <string>

#include <antiphon/component/peft.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/nn/norm.h>

namespace antiphon::adapters {

enum class NormPosition { none, pre, post };  // of a layer norm: before `down`, or after `up`

class BottleneckAdapter : public LinearAdapter, public Module {
 public:
  // `out`: of the layer. It starts as the identity, since `up` starts at zero.
  BottleneckAdapter(int64_t out, int64_t bottleneck, std::string activation, NormPosition position);
  at::Tensor forward(const at::Tensor& x, const LinearBase& base) override;
  void keep(bool all) override { Module::keep(all); }
  bool reads_outputs_only() const override { return true; }

 private:
  std::string activation_;
  NormPosition position_;
  nn::Linear down_;
  at::Tensor up_;  // [out, bottleneck]
  std::unique_ptr<nn::Norm> norm_;
};

}  // namespace antiphon::adapters
