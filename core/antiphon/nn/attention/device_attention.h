// Attention whose lengths are read on the device, or by kernels for packed sequences: the CUDA path.
#pragma once
#include <antiphon/nn/attention/attention.h>

namespace antiphon::nn {

// Whether varlen_attention takes these: bfloat16 or half on CUDA, heads that the flash kernel has, and a window or
// sequences of different lengths. Those of one length without a window are a batch, for which LibTorch chooses among
// more kernels (cuDNN's takes 0.6 of the time on an H100).
bool fits_varlen_attention(const at::Tensor& q_thd, const std::vector<int64_t>& lengths, int64_t window);

// As packed_attention (attention.h), all sequences in one call of LibTorch's flash kernel (Dao 2023), with its
// gradient.
at::Tensor varlen_attention(const at::Tensor& q_thd, const at::Tensor& k_thd, const at::Tensor& v_thd,
                            const std::vector<int64_t>& lengths, bool causal, int64_t window);

// As cached_attention (cached_attention.h) with one token per row, by the input's tensors blocks_nb, held_n and
// slots_n. Nothing is read back to the host, so a CUDA graph can record it.
at::Tensor step_attention(const at::Tensor& q_thd, const at::Tensor& k_thd, const at::Tensor& v_thd,
                          const DecoderInput& input, size_t layer, const Sight& sight);

}  // namespace antiphon::nn
