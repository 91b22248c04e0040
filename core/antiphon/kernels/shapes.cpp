#include <antiphon/kernels/shapes.h>

#include <ATen/ATen.h>
#include <torch/library.h>

#include <antiphon/kernels/cuda_table.h>

#include <array>
#include <tuple>

namespace antiphon::kernels {
namespace {

using at::Tensor;
using c10::SymInt;
using c10::SymIntArrayRef;
using OptionalTensor = std::optional<Tensor>;
using Three = std::tuple<Tensor, Tensor, Tensor>;

Tensor empty(std::vector<int64_t> sizes, const Tensor& like, std::optional<at::ScalarType> dtype = std::nullopt) {
  return at::empty(sizes, like.options().requires_grad(false).dtype(dtype.value_or(like.scalar_type())));
}

Tensor like(const Tensor& x) { return empty(x.sizes().vec(), x); }
Tensor if_wanted(bool wanted, const Tensor& x) { return wanted ? like(x) : Tensor(); }

Tensor index_select(const Tensor& x, int64_t dimension, const Tensor& index) {
  auto sizes = x.sizes().vec();
  sizes[static_cast<size_t>(at::maybe_wrap_dim(dimension, x.dim()))] = index.numel();
  return empty(sizes, x);
}

Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  return empty(at::infer_size(condition.sizes(), at::infer_size(a.sizes(), b.sizes())), a.dim() ? a : b);
}

Tensor logical_and(const Tensor& a, const Tensor& b) {
  return empty(at::infer_size(a.sizes(), b.sizes()), a, at::kBool);
}

Tensor logsumexp(const Tensor& x, at::IntArrayRef dimensions, bool keep) { return x.sum(dimensions, keep); }

Tensor floor_divide(const Tensor& a, const Tensor& b) { return empty(at::infer_size(a.sizes(), b.sizes()), a); }

Tensor embedding_backward(const Tensor& grad, const Tensor& /*ids*/, SymInt rows, SymInt /*padding*/, bool /*scale*/) {
  return empty({rows.expect_int(), grad.size(-1)}, grad);
}

Tensor convolution(const Tensor& x, const Tensor& weight, const OptionalTensor& /*bias*/, SymIntArrayRef stride,
                   SymIntArrayRef padding, SymIntArrayRef dilation, bool transposed, SymIntArrayRef /*output_padding*/,
                   SymInt /*groups*/) {
  TORCH_CHECK_NOT_IMPLEMENTED(!transposed, "shapes of a transposed convolution");
  std::vector<int64_t> sizes{x.size(0), weight.size(0)};
  for (int64_t d = 2; d < x.dim(); ++d) {
    const auto i = static_cast<size_t>(d - 2);
    const int64_t reach = dilation[i].expect_int() * (weight.size(d) - 1) + 1;
    sizes.push_back((x.size(d) + 2 * padding[i].expect_int() - reach) / stride[i].expect_int() + 1);
  }
  return empty(sizes, x);
}

Three convolution_backward(const Tensor& grad, const Tensor& x, const Tensor& weight, SymIntArrayRef, SymIntArrayRef,
                           SymIntArrayRef, bool, SymIntArrayRef, SymInt, std::array<bool, 3> wanted) {
  return {if_wanted(wanted[0], x), if_wanted(wanted[1], weight), wanted[2] ? empty({grad.size(1)}, grad) : Tensor()};
}

Three layer_norm(const Tensor& x, SymIntArrayRef normalized, const OptionalTensor&, const OptionalTensor&, double) {
  auto sizes = x.sizes().vec();
  for (size_t i = 0; i < normalized.size(); ++i) sizes[sizes.size() - 1 - i] = 1;
  return {like(x), empty(sizes, x, at::kFloat), empty(sizes, x, at::kFloat)};
}

Three layer_norm_backward(const Tensor&, const Tensor& x, SymIntArrayRef, const Tensor&, const Tensor&,
                          const OptionalTensor& weight, const OptionalTensor& bias, std::array<bool, 3> wanted) {
  const auto of = [](bool wanted, const OptionalTensor& y) { return wanted && y ? like(*y) : Tensor(); };
  return {if_wanted(wanted[0], x), of(wanted[1], weight), of(wanted[2], bias)};
}

Three batch_norm(const Tensor& x, const OptionalTensor&, const OptionalTensor&, const OptionalTensor&,
                 const OptionalTensor&, bool, double, double) {
  return {like(x), empty({x.size(1)}, x, at::kFloat), empty({x.size(1)}, x, at::kFloat)};
}

Three batch_norm_backward(const Tensor&, const Tensor& x, const OptionalTensor& weight, const OptionalTensor&,
                          const OptionalTensor&, const OptionalTensor&, const OptionalTensor&, bool, double,
                          std::array<bool, 3> wanted) {
  const auto width = weight ? like(*weight) : empty({x.size(1)}, x);
  return {if_wanted(wanted[0], x), wanted[1] ? width : Tensor(), wanted[2] ? like(width) : Tensor()};
}

// q, k, v [tokens, heads, head_size] of packed sequences.
std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> attention(const Tensor& q, const Tensor&, const Tensor&,
                                                             const OptionalTensor&, const OptionalTensor&, SymInt,
                                                             SymInt, double, bool, bool, std::optional<double>,
                                                             std::optional<SymInt>, std::optional<SymInt>,
                                                             const OptionalTensor&, const OptionalTensor&) {
  return {like(q), empty({q.size(1), q.size(0)}, q, at::kFloat), empty({2}, q, at::kLong), empty({0}, q),
          empty({0}, q)};
}

// The kernel makes the gradients of keys and values for each query head, and adds them up.
Three attention_backward(const Tensor&, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor&, const Tensor&,
                         const Tensor&, const Tensor&, SymInt, SymInt, double, bool, const Tensor&, const Tensor&,
                         std::optional<double>, std::optional<SymInt>, std::optional<SymInt>) {
  const auto grad_q = like(q);
  if (k.size(1) == q.size(1)) return {grad_q, like(k), like(v)};
  const auto of_k = like(q), of_v = like(q);
  return {grad_q, like(k), like(v)};
}

void add_operations() {
  static torch::Library all(torch::Library::IMPL, "aten", c10::DispatchKey::Meta, __FILE__, __LINE__);
  all.impl("index_select", index_select);
  all.impl("where.self", where);
  all.impl("logical_and", logical_and);
  all.impl("logsumexp", logsumexp);
  all.impl("floor_divide", floor_divide);
  all.impl("embedding_dense_backward", embedding_backward);
  all.impl("convolution_overrideable", convolution);
  all.impl("convolution_backward_overrideable", convolution_backward);
  all.impl("native_layer_norm", layer_norm);
  all.impl("native_layer_norm_backward", layer_norm_backward);
  all.impl("native_batch_norm", batch_norm);
  all.impl("native_batch_norm_backward", batch_norm_backward);
  all.impl("_flash_attention_forward", attention);
  all.impl("_flash_attention_backward", attention_backward);
}

// Ours write into tensors that ops.cpp has made: there is nothing to do.
CudaTable table_of_shapes() {
  CudaTable table;
  table.rms_norm = [](const Tensor&, const Tensor&, const Tensor&, const Tensor&, double) {};
  table.rms_norm_backward = [](const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&) {};
  table.rms_norm_weight_backward = [](const Tensor&, const Tensor&, const Tensor&, const Tensor&) {};
  table.rope = [](const Tensor&, const Tensor&, const Tensor&, const Tensor&, double) {};
  table.swiglu = [](const Tensor&, const Tensor&, const Tensor&) {};
  table.swiglu_backward = [](const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&) {};
  table.dropout = [](const Tensor&, const Tensor&, const DropoutMask&) {};
  table.cross_entropy = [](const Tensor&, const Tensor&, const Tensor&, bool) {};
  table.to_float8 = [](const Tensor&, const Tensor&, const Tensor&, const Tensor&) {};
  return table;
}

bool in_use = false;

}  // namespace

void use_shapes() {
  if (std::exchange(in_use, true)) return;
  add_operations();
  static const CudaTable table = table_of_shapes();
  use_table(table);
}

bool uses_shapes() { return in_use; }

}  // namespace antiphon::kernels
