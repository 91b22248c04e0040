// y = x Wᵀ + b. Every Linear is a site: adapters, quantisation and sharding attach here and nowhere else.
#pragma once
#include <antiphon/component/module.h>
#include <antiphon/component/peft.h>
#include <antiphon/nn/linear/of_weight.h>

#include <limits>
#include <memory>
#include <optional>
#include <vector>

namespace antiphon::comm {
class Group;
}

namespace antiphon::nn {

struct QuantizedWeight;
struct Nf4Weight;
class PackedWeight;
class Float8Weight;

class Linear : public Module {
 public:
  Linear(int64_t in, int64_t out, bool with_bias);

  // x [..., in] -> [..., out] in x's dtype; a parameter of another dtype (a trainable float32 master) is cast.
  at::Tensor forward(const at::Tensor& x) const;
  // The same without the adapters: the product in the form that the weight is kept in; of no vectors, the plain one.
  at::Tensor product(const at::Tensor& x) const;
  // What the adapters add, without a gradient: undefined tensors if none is active; nullopt if it is not one low-rank
  // change.
  std::optional<LowRank> low_rank() const;
  // The map that this adapter of the layer changes, as it is while all adapters before it are active.
  std::unique_ptr<LinearBase> below(const LinearAdapter& adapter) const;

  // What a process of several that share the layer computes: some of the outputs (rows of the weight) or the products
  // with some of the inputs (columns), which are to be added up over the processes, the first of which adds the bias.
  // The weight must still be on the meta device. Error(config) if an adapter on it cannot be shared so.
  void keep_outputs(int64_t begin, int64_t size);
  void keep_inputs(int64_t begin, int64_t size, comm::Group& parts);
  at::Tensor added_bias() const;
  // Of products that were added up so, what the adapters make of the sum that read outputs only; forward() leaves them
  // out then. Else y as it is.
  at::Tensor after_sum(at::Tensor y) const;

  // While the weight is frozen, forward() keeps a second copy of it for large batches (packed_weight.h).
  void keep_packed();

  int64_t in() const { return weight.size(1); }
  int64_t out() const { return weight.size(0); }

  // Keeps the weight as "int8" or "int4" (quantized_weight.h) or "nf4" (nf4_weight.h) and frees the original, which
  // becomes a meta tensor. The weight is not trained from then on; adapters on it are.
  void quantize(const std::string& format);
  static bool fits_format(const at::Tensor& weight, const std::string& format);
  bool is_quantized() const { return quantized || nf4; }
  int64_t quantized_bytes() const;
  // What its bits stand for, float32 or bfloat16.
  at::Tensor dequantized(at::ScalarType dtype) const;

  // Products in FP8 from here on (float8_linear.h), except those of adapters; `keeps_weight`: see Float8Options.
  // Returns false and changes nothing if the weight's sides do not fit.
  bool use_float8(bool keeps_weight = true);

  at::Tensor weight;                                     // [out, in]
  at::Tensor bias;                                       // [out] or undefined
  std::vector<std::shared_ptr<LinearAdapter>> adapters;  // each wraps the map of those before it
  std::shared_ptr<const QuantizedWeight> quantized;      // or
  std::shared_ptr<const Nf4Weight> nf4;                  // or neither
  bool has_own_rows = false;                             // it gets other vectors than the pass has rows: an expert's
  double share = 1;                 // of the vectors that go through the module: less than 1 for an expert's layers
  comm::Group* together = nullptr;  // of processes that have some of the vectors or of the weight each

 private:
  class Before;
  // With the first `count` adapters.
  at::Tensor adapted(const at::Tensor& x, size_t count) const;
  size_t last_active(size_t count) const;
  // Whether it changes any row of the pass that is running.
  static bool is_active(const LinearAdapter& adapter);
  comm::Group* over_ = nullptr;                            // over which products are added up
  size_t after_sum_ = std::numeric_limits<size_t>::max();  // from this adapter on
  std::shared_ptr<PackedWeight> packed_;
  std::shared_ptr<Float8Weight> float8_;
  mutable OfWeight<at::Tensor> row_squares_;  // see LinearBase::Rows
};

// x [..., in], weight [out, in], bias [out] or undefined, all of one dtype, or weight as matrix_like() gives it ->
// [..., out]; differentiable. As at::linear, by the library that is fastest (kernels/mm.h).
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias = {});

// x [..., n] -> [rows, n].
at::Tensor rows(const at::Tensor& x);

// `parameter` in the dtype of `x`; differentiable, and no copy if it already has it. Undefined stays undefined.
at::Tensor like(const at::Tensor& parameter, const at::Tensor& x);

// The same for a matrix that x is multiplied by: a frozen bfloat16 matrix stays bfloat16 beside a float32 x if the
// product widens it (kernels/mm.h).
at::Tensor matrix_like(const at::Tensor& matrix, const at::Tensor& x);

}  // namespace antiphon::nn
