// A weight's copy in the order in which oneDNN's products of many rows read it. A plain one is put into that order in
// every call, which is a tenth to a quarter of the work of an encoder that takes a few hundred rows.
#pragma once
#include <antiphon/nn/linear/of_weight.h>

namespace antiphon::nn {

class PackedWeight {
 public:
  // Whether of() takes it for a product with x: both bfloat16, on a CPU that multiplies it, and no gradient wanted.
  static bool fits(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);
  // For kernels::onednn::linear. Made at the first call, and again where the weight has changed since; from any thread.
  at::Tensor of(const at::Tensor& weight, int64_t rows);

 private:
  OfWeight<at::Tensor> packed_;
};

}  // namespace antiphon::nn
