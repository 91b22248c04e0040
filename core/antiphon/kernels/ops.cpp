#include <antiphon/kernels/ops.h>

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/OpMathType.h>

#include <antiphon/kernels/composed.h>
#include <antiphon/kernels/cuda_table.h>
#include <antiphon/kernels/for_rows.h>
#include <antiphon/kernels/shapes.h>

#include <cstring>

namespace antiphon::kernels {
namespace {

constexpr int64_t kLargestDecodeHead = 256;  // of the CUDA kernel

bool plain(const at::Tensor& a, const at::Tensor& like) {
  return a.is_contiguous() && a.scalar_type() == like.scalar_type();
}

Normalized rms_norm_by_rows(const at::Tensor& x, const at::Tensor& weight, const Normalized& out, double eps) {
  const int64_t width = x.size(-1);
  for_rows(x, out.rstd.numel(), width, [&](const auto& kernel, auto type, int64_t begin, int64_t end) {
    using T = decltype(type);
    kernel.rms_norm(data<T>(x), data<T>(weight), data<T>(out.y), data<float>(out.rstd), begin, end, width,
                    static_cast<float>(eps));
  });
  return out;
}

// Some hundred bytes a head: copied one after the other, they cost less than one operation of LibTorch.
void copy_to_slots(const at::Tensor& from, const at::Tensor& to, const at::Tensor& slots) {
  const int64_t heads = to.size(1), block_size = to.size(2);
  const auto bytes = static_cast<size_t>(to.size(3)) * to.element_size();
  const auto* x = static_cast<const char*>(from.const_data_ptr());
  auto* y = static_cast<char*>(to.mutable_data_ptr());
  const auto* slot = slots.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < from.size(0); ++i)
    for (int64_t head = 0; head < heads; ++head) {
      const int64_t at = (slot[i] / block_size * heads + head) * block_size + slot[i] % block_size;
      std::memcpy(y + static_cast<size_t>(at) * bytes, x + static_cast<size_t>(i * heads + head) * bytes, bytes);
    }
}

}  // namespace

Path path_of(const at::Tensor& x) {
  if (fits(x)) return Path::rows;
  const auto type = x.scalar_type();
  const bool known = type == at::kFloat || type == at::kBFloat16 || type == at::kHalf;
  return (x.is_meta() ? uses_shapes() : x.is_cuda()) && known && cuda_table() ? Path::cuda : Path::composed;
}

Normalized rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const auto path = path_of(x);
  if (path == Path::composed) return composed::rms_norm(x, weight, eps);
  const int64_t rows = x.numel() / std::max<int64_t>(1, x.size(-1));
  const Normalized out{at::empty_like(x), at::empty({rows, 1}, x.options().dtype(at::kFloat))};
  if (path == Path::rows) return rms_norm_by_rows(x, weight, out, eps);
  cuda_table()->rms_norm(x, weight, out.y, out.rstd, eps);
  return out;
}

at::Tensor rms_norm_backward(const at::Tensor& grad, const at::Tensor& x, const at::Tensor& weight,
                             const at::Tensor& rstd) {
  const auto path = path_of(x);
  if (path == Path::composed) return composed::rms_norm_backward(grad, x, weight, rstd);
  auto grad_x = at::empty_like(x);
  if (path == Path::cuda) {
    cuda_table()->rms_norm_backward(grad, x, weight, rstd, grad_x);
    return grad_x;
  }
  const int64_t width = x.size(-1);
  for_rows(x, rstd.numel(), width, [&](const auto& kernel, auto type, int64_t begin, int64_t end) {
    using T = decltype(type);
    kernel.rms_norm_backward(data<T>(grad), data<T>(x), data<T>(weight), data<float>(rstd), data<T>(grad_x), begin, end,
                             width);
  });
  return grad_x;
}

at::Tensor rms_norm_weight_backward(const at::Tensor& grad, const at::Tensor& x, const at::Tensor& rstd,
                                    at::ScalarType dtype) {
  if (path_of(x) != Path::cuda) return composed::rms_norm_weight_backward(grad, x, rstd, dtype);
  constexpr int64_t kChunks = 128;
  const int64_t chunks = std::min(rstd.numel(), kChunks);
  const auto partial = at::empty({chunks, x.size(-1)}, x.options().dtype(at::kFloat));
  cuda_table()->rms_norm_weight_backward(grad, x, rstd, partial);
  return partial.sum(0).to(dtype);
}

at::Tensor rope(const at::Tensor& x, const at::Tensor& cos_td, const at::Tensor& sin_td, double sign) {
  const auto path = plain(x, x) && plain(cos_td, x) && plain(sin_td, x) ? path_of(x) : Path::composed;
  if (path == Path::composed) return composed::rope(x, cos_td, sin_td, sign);
  auto y = at::empty_like(x);
  if (path == Path::cuda) {
    cuda_table()->rope(x, cos_td, sin_td, y, sign);
    return y;
  }
  for_rows(x, x.size(0), x.size(1) * x.size(2), [&](const auto& kernel, auto type, int64_t begin, int64_t end) {
    using T = decltype(type);
    kernel.rope(data<T>(x), data<T>(cos_td), data<T>(sin_td), data<T>(y), begin, end, x.size(1), x.size(2),
                cos_td.size(1), static_cast<float>(sign));
  });
  return y;
}

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up) {
  const auto path = plain(gate, gate) && plain(up, gate) ? path_of(gate) : Path::composed;
  if (path == Path::composed) return composed::swiglu(gate, up);
  auto y = at::empty_like(gate);
  if (path == Path::cuda) {
    cuda_table()->swiglu(gate, up, y);
    return y;
  }
  for_rows(gate, gate.numel(), 1, [&](const auto& kernel, auto type, int64_t begin, int64_t end) {
    using T = decltype(type);
    kernel.swiglu(data<T>(gate), data<T>(up), data<T>(y), begin, end);
  });
  return y;
}

std::pair<at::Tensor, at::Tensor> swiglu_backward(const at::Tensor& of_y, const at::Tensor& gate,
                                                  const at::Tensor& up) {
  const auto path = plain(gate, gate) && plain(up, gate) ? path_of(gate) : Path::composed;
  if (path == Path::composed) return composed::swiglu_backward(of_y, gate, up);
  const auto grad = of_y.contiguous();
  auto grad_gate = at::empty_like(gate), grad_up = at::empty_like(up);
  if (path == Path::cuda) {
    cuda_table()->swiglu_backward(grad, gate, up, grad_gate, grad_up);
    return {grad_gate, grad_up};
  }
  for_rows(gate, gate.numel(), 1, [&](const auto& kernel, auto type, int64_t begin, int64_t end) {
    using T = decltype(type);
    kernel.swiglu_backward(data<T>(grad), data<T>(gate), data<T>(up), data<T>(grad_gate), data<T>(grad_up), begin, end);
  });
  return {grad_gate, grad_up};
}

namespace {

at::Tensor dropout_by_rows(const at::Tensor& x, int64_t rows, int64_t columns, const DropoutMask& mask) {
  auto y = at::empty_like(x);
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, x.scalar_type(), "dropout", [&] {
    using Number = at::opmath_type<scalar_t>;
    const auto* from = x.const_data_ptr<scalar_t>();
    auto* to = y.mutable_data_ptr<scalar_t>();
    const auto factor = static_cast<Number>(1 / (1 - mask.p));
    const int64_t threshold = mask.threshold();
    share_rows(rows, columns, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        for (int64_t c = 0, i = r * columns; c < columns; ++c, ++i)
          to[i] = DropoutMask::kept(mask.key, mask.first + r * mask.columns + c, threshold)
                      ? static_cast<scalar_t>(static_cast<Number>(from[i]) * factor)
                      : scalar_t(0);
    });
  });
  return y;
}

}  // namespace

at::Tensor dropout(const at::Tensor& given, const DropoutMask& mask) {
  const auto x = given.contiguous();
  const int64_t columns = x.size(-1), rows = columns ? x.numel() / columns : 0;
  if (x.is_cpu()) return dropout_by_rows(x, rows, columns, mask);
  if (path_of(x) != Path::cuda) return x * composed::dropout_factors(rows, columns, mask, x.options()).view(x.sizes());
  auto y = at::empty_like(x);
  cuda_table()->dropout(x, y, mask);
  return y;
}

at::Tensor quick_gelu(const at::Tensor& x, bool in_place) {
  if (!fits(x) || !x.is_contiguous()) return x * at::sigmoid(1.702 * x);
  auto y = in_place ? x : at::empty_like(x);
  for_rows(x, x.numel(), 1, [&](const auto& kernel, auto type, int64_t begin, int64_t end) {
    kernel.quick_gelu(data<decltype(type)>(x), data<decltype(type)>(y), begin, end);
  });
  return y;
}

CrossEntropy cross_entropy(const at::Tensor& logits, const at::Tensor& labels, bool gradient) {
  if (path_of(logits) != Path::cuda) return composed::cross_entropy(logits, labels, gradient);
  const CrossEntropy out{at::empty({logits.size(0)}, logits.options().dtype(at::kFloat)),
                         gradient ? logits : at::Tensor()};
  cuda_table()->cross_entropy(logits, labels.contiguous(), out.token_loss, gradient);
  return out;
}

void append_kv(const at::Tensor& k, const at::Tensor& v, const at::Tensor& keys, const at::Tensor& values,
               const at::Tensor& slots) {
  const auto path = path_of(k);
  if (path == Path::composed) return composed::append_kv(k, v, keys, values, slots);
  if (path == Path::cuda) return cuda_table()->append_kv(k.contiguous(), v.contiguous(), keys, values, slots);
  for (const auto& [from, to] : {std::pair(k, keys), std::pair(v, values)}) copy_to_slots(from.contiguous(), to, slots);
}

at::Tensor decode_attention(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                            const at::Tensor& blocks, const at::Tensor& lengths, int64_t window) {
  if (path_of(q) != Path::cuda || q.size(2) > kLargestDecodeHead)
    return composed::decode_attention(q, keys, values, blocks, lengths, window);
  const auto query = q.contiguous();
  auto y = at::empty_like(query);
  cuda_table()->decode_attention(query, keys, values, blocks, lengths, y, window);
  return y;
}

}  // namespace antiphon::kernels
