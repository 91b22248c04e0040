// A copy of a weight in the layout that oneDNN's large-batch products read. A plain weight is reordered in every call,
// which is a tenth to a quarter of the work of an encoder on a few hundred rows.
#pragma once
#include <antiphon/nn/linear/of_weight.h>

namespace antiphon::nn {

class PackedWeight {
 public:
  // Whether of() accepts the weight for a product with x: both bfloat16, on a CPU that multiplies bfloat16, and no
  // gradient wanted.
  static bool fits(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);
  // For kernels::onednn::linear. Packed at the first call, and again if the weight has changed since; thread-safe.
  at::Tensor of(const at::Tensor& weight, int64_t rows);

 private:
  OfWeight<at::Tensor> packed_;
};

}  // namespace antiphon::nn
