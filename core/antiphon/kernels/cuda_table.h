// The CUDA kernels as the core sees them. They live in libantiphon_cuda.so, which links LibTorch's CUDA library and is
// opened after it, when a CUDA device is requested (docs/decisions/0007-cuda-library.md).
#pragma once
#include <ATen/core/Tensor.h>

#include <antiphon/kernels/dropout_mask.h>

#include <functional>
#include <memory>
#include <string>

namespace antiphon::kernels {

constexpr int kCudaTableVersion = 3;

// Every function runs on the current stream of its tensors' device. Tensors are contiguous, on one CUDA device and of
// one dtype, float32, bfloat16 or float16, unless another is named; sums are float32. Empty tensors are allowed.
struct CudaTable {
  int version = kCudaTableVersion;
  // As RowKernels (rows.h). x [rows, width], rstd [rows] float32.
  void (*rms_norm)(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& y, const at::Tensor& rstd,
                   double eps);
  void (*rms_norm_backward)(const at::Tensor& grad, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& rstd, const at::Tensor& grad_x);
  // partial [chunks, width] float32: in chunk c, Σ of grad · x · rstd over the rows c, c + chunks, …
  void (*rms_norm_weight_backward)(const at::Tensor& grad, const at::Tensor& x, const at::Tensor& rstd,
                                   const at::Tensor& partial);
  // x, y [tokens, heads, head_size]; cos, sin [tokens, rotary_size].
  void (*rope)(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin, const at::Tensor& y, double sign);
  void (*swiglu)(const at::Tensor& gate, const at::Tensor& up, const at::Tensor& y);
  void (*swiglu_backward)(const at::Tensor& grad, const at::Tensor& gate, const at::Tensor& up,
                          const at::Tensor& grad_gate, const at::Tensor& grad_up);
  // x [..., columns] -> y.
  void (*dropout)(const at::Tensor& x, const at::Tensor& y, const DropoutMask& mask);
  // logits [rows, vocabulary], labels [rows] int64 -> token_loss [rows] float32; if `gradient`, the logits become
  // softmax(logits) - onehot(label).
  void (*cross_entropy)(const at::Tensor& logits, const at::Tensor& labels, const at::Tensor& token_loss,
                        bool gradient);
  // x [n, width] divided by scale [] float32, in the format of rows [n, width] and columns [width, padded]: the
  // transpose, zeros from n on. Either may be undefined. x starts at a multiple of 16 bytes; width and padded are
  // multiples of 4.
  void (*to_float8)(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& rows, const at::Tensor& columns);
  // See ops.h. A slot beyond the blocks is not written. y [n, heads, head_size]; head_size at most 256; heads a
  // multiple of kv_heads.
  void (*append_kv)(const at::Tensor& k, const at::Tensor& v, const at::Tensor& keys, const at::Tensor& values,
                    const at::Tensor& slots);
  void (*decode_attention)(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                           const at::Tensor& blocks, const at::Tensor& lengths, const at::Tensor& y, int64_t window);
  // Runs `work` once normally and once more to record it, on a stream of its own -> the argument for replay. Throws
  // what `work` throws, or a c10::Error if something in it cannot be recorded; the device is usable after that.
  std::shared_ptr<void> (*capture)(c10::Device device, const std::function<void()>& work);
  void (*replay)(void* graph);
};

// nullptr until open_cuda_kernels() has found the library, or another table is to be used (shapes.h).
const CudaTable* cuda_table();
void use_table(const CudaTable& table);

// Opens libantiphon_cuda.so, which lies beside libantiphon.so; libtorch_cuda.so must be open. Returns why there are no
// kernels, or "" if there are. Without them CUDA tensors go through compositions of LibTorch's operations.
std::string open_cuda_kernels();

}  // namespace antiphon::kernels
