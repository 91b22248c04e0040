// The fused operations on tensors, and the one place that chooses the implementation: row kernels on the CPU (rows.h),
// the kernels of libantiphon_cuda.so (cuda_table.h), or else a composition of LibTorch's operations (composed.h), which
// takes every device and dtype. No gradients: nn/ has the autograd nodes.
#pragma once
#include <ATen/core/Tensor.h>

#include <antiphon/kernels/dropout_mask.h>

#include <utility>

namespace antiphon::kernels {

// The implementation used for a tensor.
enum class Path { rows, cuda, composed };
Path path_of(const at::Tensor& x);

struct Normalized {
  at::Tensor y, rstd;  // as x; float32, one for each row
};

// y = x · rstd · weight over the last axis, rstd = 1/sqrt(mean(x²) + eps). x and weight are contiguous and of one
// dtype.
Normalized rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);
at::Tensor rms_norm_backward(const at::Tensor& grad, const at::Tensor& x, const at::Tensor& weight,
                             const at::Tensor& rstd);
// -> [width] in `dtype`
at::Tensor rms_norm_weight_backward(const at::Tensor& grad, const at::Tensor& x, const at::Tensor& rstd,
                                    at::ScalarType dtype);

// x [tokens, heads, head_size], cos and sin [tokens, rotary_size]; sign -1 turns back (rope.h of nn).
at::Tensor rope(const at::Tensor& x, const at::Tensor& cos_td, const at::Tensor& sin_td, double sign);

// silu(gate) · up, and the gradients of gate and up.
at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up);
std::pair<at::Tensor, at::Tensor> swiglu_backward(const at::Tensor& grad, const at::Tensor& gate, const at::Tensor& up);

// x [..., columns] -> each value times 1 / (1 - p), or 0.
at::Tensor dropout(const at::Tensor& x, const DropoutMask& mask);

// x · sigmoid(1.702 x), for x contiguous or not. in_place: x may be written over.
at::Tensor quick_gelu(const at::Tensor& x, bool in_place);

struct CrossEntropy {
  at::Tensor token_loss;  // [rows] float32
  at::Tensor grad;        // softmax(logits) - onehot(label) in the logits' dtype; undefined if not wanted
};

// logits [rows, vocabulary], which may be overwritten; labels [rows] int64.
CrossEntropy cross_entropy(const at::Tensor& logits, const at::Tensor& labels, bool gradient);

// k, v [n, kv_heads, head_size] to the slots [n] int64 of keys and values [blocks, kv_heads, block_size, head_size]:
// slot / block_size is the block, the rest the place in it (component/decoder_state.h). All on one device.
void append_kv(const at::Tensor& k, const at::Tensor& v, const at::Tensor& keys, const at::Tensor& values,
               const at::Tensor& slots);
// One query per row, q [n, heads, head_size], over the first lengths[i] + 1 positions of the row that lies in blocks[i]
// (window > 0: the last `window` of them) -> [n, heads, head_size]. blocks [n, most] int64; those that a row does not
// have are any valid number; lengths [n] int64.
at::Tensor decode_attention(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                            const at::Tensor& blocks, const at::Tensor& lengths, int64_t window);

}  // namespace antiphon::kernels
