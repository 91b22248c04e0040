#include <antiphon/kernels/cuda/bind.h>

#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>

namespace antiphon::kernels::cuda {
namespace {

template <class T>
T* data(const at::Tensor& x) {
  return static_cast<T*>(x.data_ptr());
}

// Calls body(T*{}, stream) with the element type for x.
template <class Body>
void on(const at::Tensor& x, const Body& body) {
  TORCH_CHECK(x.is_contiguous(), "a CUDA kernel takes contiguous tensors");
  launch_on(x, [&](cudaStream_t stream) {
    if (x.scalar_type() == at::kFloat)
      body(static_cast<float*>(nullptr), stream);
    else if (x.scalar_type() == at::kBFloat16)
      body(static_cast<__nv_bfloat16*>(nullptr), stream);
    else if (x.scalar_type() == at::kHalf)
      body(static_cast<__half*>(nullptr), stream);
    else
      TORCH_CHECK(false, "a CUDA kernel takes float32, bfloat16 or float16, not ", x.scalar_type());
  });
}

template <class Pointer>
using ElementOf = std::remove_pointer_t<Pointer>;

void rms_norm_of(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& y, const at::Tensor& rstd,
                 double eps) {
  on(x, [&](auto type, cudaStream_t stream) {
    using T = ElementOf<decltype(type)>;
    rms_norm(data<T>(x), data<T>(weight), data<T>(y), data<float>(rstd), rstd.numel(), weight.numel(),
             static_cast<float>(eps), stream);
  });
}

void rms_norm_backward_of(const at::Tensor& grad, const at::Tensor& x, const at::Tensor& weight, const at::Tensor& rstd,
                          const at::Tensor& grad_x) {
  on(x, [&](auto type, cudaStream_t stream) {
    using T = ElementOf<decltype(type)>;
    rms_norm_backward(data<T>(grad), data<T>(x), data<T>(weight), data<float>(rstd), data<T>(grad_x), rstd.numel(),
                      weight.numel(), stream);
  });
}

void rms_norm_weight_backward_of(const at::Tensor& grad, const at::Tensor& x, const at::Tensor& rstd,
                                 const at::Tensor& partial) {
  on(x, [&](auto type, cudaStream_t stream) {
    using T = ElementOf<decltype(type)>;
    rms_norm_weight_backward(data<T>(grad), data<T>(x), data<float>(rstd), data<float>(partial), rstd.numel(),
                             partial.size(1), partial.size(0), stream);
  });
}

void rope_of(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin, const at::Tensor& y, double sign) {
  on(x, [&](auto type, cudaStream_t stream) {
    using T = ElementOf<decltype(type)>;
    rope(data<T>(x), data<T>(cos), data<T>(sin), data<T>(y), x.size(0), x.size(1), x.size(2), cos.size(1),
         static_cast<float>(sign), stream);
  });
}

void swiglu_of(const at::Tensor& gate, const at::Tensor& up, const at::Tensor& y) {
  on(gate, [&](auto type, cudaStream_t stream) {
    using T = ElementOf<decltype(type)>;
    swiglu(data<T>(gate), data<T>(up), data<T>(y), gate.numel(), stream);
  });
}

void swiglu_backward_of(const at::Tensor& grad, const at::Tensor& gate, const at::Tensor& up,
                        const at::Tensor& grad_gate, const at::Tensor& grad_up) {
  on(gate, [&](auto type, cudaStream_t stream) {
    using T = ElementOf<decltype(type)>;
    swiglu_backward(data<T>(grad), data<T>(gate), data<T>(up), data<T>(grad_gate), data<T>(grad_up), gate.numel(),
                    stream);
  });
}

void dropout_of(const at::Tensor& x, const at::Tensor& y, const DropoutMask& mask) {
  on(x, [&](auto type, cudaStream_t stream) {
    using T = ElementOf<decltype(type)>;
    const int64_t columns = x.size(-1);
    dropout(data<T>(x), data<T>(y), columns ? x.numel() / columns : 0, columns,
            Mask{mask.key, mask.first, mask.columns, mask.threshold(), mask.factor()}, stream);
  });
}

void cross_entropy_of(const at::Tensor& logits, const at::Tensor& labels, const at::Tensor& token_loss, bool gradient) {
  on(logits, [&](auto type, cudaStream_t stream) {
    using T = ElementOf<decltype(type)>;
    cross_entropy(data<T>(logits), data<int64_t>(labels), data<float>(token_loss), logits.size(0), logits.size(1),
                  gradient, stream);
  });
}

uint32_t* words(const at::Tensor& x) { return x.defined() ? static_cast<uint32_t*>(x.data_ptr()) : nullptr; }

void to_float8_of(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& rows, const at::Tensor& columns) {
  const auto& some = rows.defined() ? rows : columns;
  on(x, [&](auto type, cudaStream_t stream) {
    using T = ElementOf<decltype(type)>;
    to_float8(data<T>(x), data<float>(scale), words(rows), words(columns), x.size(0), x.size(1),
              columns.defined() ? columns.size(1) : x.size(0), some.scalar_type() == at::kFloat8_e5m2, stream);
  });
}

DecodeShape shape_of(const at::Tensor& q, const at::Tensor& keys) {
  return {q.size(0), q.size(1), keys.size(0), keys.size(1), keys.size(2), keys.size(3)};
}

void append_kv_of(const at::Tensor& k, const at::Tensor& v, const at::Tensor& keys, const at::Tensor& values,
                  const at::Tensor& slots) {
  on(k, [&](auto type, cudaStream_t stream) {
    using T = ElementOf<decltype(type)>;
    append_kv(data<T>(k), data<T>(v), data<T>(keys), data<T>(values), data<int64_t>(slots), shape_of(k, keys), stream);
  });
}

void decode_attention_of(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                         const at::Tensor& blocks, const at::Tensor& lengths, const at::Tensor& y, int64_t window) {
  const auto shape = shape_of(q, keys);
  TORCH_CHECK(shape.head_size <= kLargestHead, "decode attention takes heads of at most ", kLargestHead);
  const RowBlocks rows{data<int64_t>(blocks), data<int64_t>(lengths), blocks.size(1), window};
  const auto workspace =
      at::empty({shape.n * shape.heads * decode_splits(rows.most * shape.block_size) * (shape.head_size + 2)},
                q.options().dtype(at::kFloat));
  on(q, [&](auto type, cudaStream_t stream) {
    using T = ElementOf<decltype(type)>;
    decode_attention(data<T>(q), data<T>(keys), data<T>(values), rows, data<T>(y), data<float>(workspace), shape,
                     stream);
  });
}

}  // namespace

CudaTable bound_table() {
  CudaTable table{};
  table.rms_norm = rms_norm_of;
  table.rms_norm_backward = rms_norm_backward_of;
  table.rms_norm_weight_backward = rms_norm_weight_backward_of;
  table.rope = rope_of;
  table.swiglu = swiglu_of;
  table.swiglu_backward = swiglu_backward_of;
  table.dropout = dropout_of;
  table.cross_entropy = cross_entropy_of;
  table.to_float8 = to_float8_of;
  table.append_kv = append_kv_of;
  table.decode_attention = decode_attention_of;
  return table;
}

}  // namespace antiphon::kernels::cuda
