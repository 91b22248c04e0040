#include <antiphon/kernels/composed.h>

#include <ATen/ATen.h>

namespace antiphon::kernels::composed {
namespace {

// One value for each row of x, beside its last axis.
at::Tensor beside(const at::Tensor& rstd, const at::Tensor& x) {
  return rstd.view(x.sizes().slice(0, static_cast<size_t>(x.dim() - 1)).vec()).unsqueeze(-1);
}

// At least float32.
at::Tensor wide(const at::Tensor& x) { return x.scalar_type() == at::kDouble ? x : x.to(at::kFloat); }

}  // namespace

Normalized rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const auto x32 = wide(x);
  const auto rstd = x32.square().mean(-1, true).add_(eps).rsqrt_();
  return {(x32 * rstd).to(x.scalar_type()).mul_(weight), rstd};
}

at::Tensor rms_norm_backward(const at::Tensor& grad, const at::Tensor& x, const at::Tensor& weight,
                             const at::Tensor& rstd_of) {
  const auto rstd = beside(rstd_of, x);
  const auto normalized = wide(x) * rstd;  // not in place: in float32 that would be x itself
  auto scaled = wide(grad) * wide(weight);
  const auto mean = (scaled * normalized).mean(-1, true);
  return scaled.addcmul_(normalized, mean, -1).mul_(rstd).to(x.scalar_type());
}

at::Tensor rms_norm_weight_backward(const at::Tensor& grad, const at::Tensor& x, const at::Tensor& rstd,
                                    at::ScalarType dtype) {
  return (wide(grad) * wide(x) * beside(rstd, x)).reshape({-1, x.size(-1)}).sum(0).to(dtype);
}

at::Tensor rope(const at::Tensor& x, const at::Tensor& cos_td, const at::Tensor& sin_td, double sign) {
  const auto cos = cos_td.unsqueeze(1), sin = sin_td.unsqueeze(1);
  const int64_t rotary = cos_td.size(1), half = rotary / 2;
  if (rotary < x.size(-1))
    return at::cat({rope(x.narrow(-1, 0, rotary), cos_td, sin_td, sign), x.narrow(-1, rotary, x.size(-1) - rotary)},
                   -1);
  auto y = x * cos;
  y.narrow(-1, 0, half).addcmul_(x.narrow(-1, half, half), sin.narrow(-1, 0, half), -sign);
  y.narrow(-1, half, half).addcmul_(x.narrow(-1, 0, half), sin.narrow(-1, half, half), sign);
  return y;
}

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up) { return at::silu(gate).mul_(up); }

std::pair<at::Tensor, at::Tensor> swiglu_backward(const at::Tensor& grad, const at::Tensor& gate,
                                                  const at::Tensor& up) {
  return {at::silu_backward(grad * up, gate), at::silu(gate).mul_(grad)};
}

namespace {

// base/mixed.h with tensors: int64 wraps around as uint64 does, and its shifts are made to fill with zeros.
at::Tensor mixed_with(uint64_t key, const at::Tensor& values) {
  const auto shifted = [](const at::Tensor& x, int64_t by) {
    return x.bitwise_right_shift(by).bitwise_and((int64_t{1} << (64 - by)) - 1);
  };
  const auto constant = [](uint64_t x) { return static_cast<int64_t>(x); };
  auto hash = values + constant(key + 0x9e3779b97f4a7c15);
  hash = hash.bitwise_xor(shifted(hash, 30)) * constant(0xbf58476d1ce4e5b9);
  hash = hash.bitwise_xor(shifted(hash, 27)) * constant(0x94d049bb133111eb);
  return hash.bitwise_xor(shifted(hash, 31));
}

}  // namespace

at::Tensor dropout_factors(int64_t rows, int64_t columns, const DropoutMask& mask, const at::TensorOptions& options) {
  constexpr int kBits = DropoutMask::kBits;
  const auto counting = options.dtype(at::kLong).requires_grad(false);
  const auto r = at::arange(rows, counting), c = at::arange(columns, counting);
  const auto place = r.unsqueeze(1) * mask.columns + c + mask.first;
  const auto number = mixed_with(mask.key, place).bitwise_right_shift(64 - kBits).bitwise_and((1 << kBits) - 1);
  return number.ge(mask.threshold()).to(options.dtype()) * (1 / (1 - mask.p));
}

CrossEntropy cross_entropy(const at::Tensor& logits, const at::Tensor& labels, bool gradient) {
  const auto label = labels.unsqueeze(1);
  // By log_softmax, which subtracts the largest logit first: log-sum-exp of the plain logits loses their last digits.
  auto log_probability = at::log_softmax(logits, -1, at::kFloat);
  CrossEntropy out{log_probability.gather(1, label).squeeze(1).neg_(), {}};
  if (!gradient) return out;
  auto grad = log_probability.exp_();
  grad.scatter_add_(1, label, at::full({logits.size(0), 1}, -1.0, grad.options()));
  out.grad = grad.to(logits.scalar_type());
  return out;
}

Float8 to_float8(const at::Tensor& x, const at::Tensor& scale, at::ScalarType format, Float8Wanted wanted) {
  const auto rows = (x.to(at::kFloat) * scale.reciprocal()).to(format);
  Float8 y{wanted.rows ? rows : at::Tensor(), {}, scale};
  if (!wanted.columns) return y;
  y.columns = at::zeros({x.size(1), padded_rows(x.size(0))}, rows.options());
  y.columns.narrow(1, 0, x.size(0)).copy_(rows.t());
  return y;
}

void append_kv(const at::Tensor& k, const at::Tensor& v, const at::Tensor& keys, const at::Tensor& values,
               const at::Tensor& slots) {
  const auto block = slots.div(keys.size(2), "floor").unsqueeze(1), place = slots.remainder(keys.size(2)).unsqueeze(1);
  const auto head = at::arange(keys.size(1), slots.options()).unsqueeze(0);
  at::Tensor(keys).index_put_({block, head, place}, k);
  at::Tensor(values).index_put_({block, head, place}, v);
}

at::Tensor decode_attention(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                            const at::Tensor& blocks, const at::Tensor& lengths, int64_t window) {
  const auto rows_of = [&](const at::Tensor& all) {  // [n, kv_heads, positions, head_size]
    const auto some = all.index_select(0, blocks.flatten());
    return some.view({blocks.size(0), blocks.size(1), all.size(1), all.size(2), all.size(3)})
        .transpose(1, 2)
        .reshape({blocks.size(0), all.size(1), -1, all.size(3)});
  };
  const auto k = rows_of(keys), v = rows_of(values);
  const auto length = lengths.unsqueeze(1) + 1, position = at::arange(k.size(2), lengths.options()).unsqueeze(0);
  auto seen = position.lt(length);
  if (window) seen = seen.logical_and(position.ge(length - window));
  // With one query each, the heads that share a key head become its queries.
  const auto grouped = q.reshape({q.size(0), keys.size(1), -1, q.size(2)});
  return at::scaled_dot_product_attention(grouped, k, v, seen.unsqueeze(1).unsqueeze(1)).reshape(q.sizes());
}

}  // namespace antiphon::kernels::composed
