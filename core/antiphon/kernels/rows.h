// Fused row kernels for the CPU: each reads and writes its rows once, where a composition of tensor operations would do
// so three to eight times. float32 or bfloat16 in memory, float32 in registers. The same source is compiled for each
// instruction set and chosen at run time. Plain pointers only: a file that is compiled for AVX-512 must not share
// inline functions with the rest of the program.
#pragma once
#include <cstdint>

namespace antiphon::kernels {

// Rows [begin, end) of contiguous arrays; `T` is float or uint16_t (the bits of a bfloat16).
template <class T>
struct RowKernels {
  // y = x · rstd · weight with rstd = 1/sqrt(mean(x²) + eps); x · rstd is rounded to T first, as transformers does.
  void (*rms_norm)(const T* x, const T* weight, T* y, float* rstd, int64_t begin, int64_t end, int64_t width,
                   float eps);
  // y = x · rstd · (weight + 1), rounded once.
  void (*rms_norm_plus_one)(const T* x, const T* weight, T* y, float* rstd, int64_t begin, int64_t end, int64_t width,
                            float eps);
  void (*rms_norm_backward)(const T* grad, const T* x, const T* weight, const float* rstd, T* grad_x, int64_t begin,
                            int64_t end, int64_t width);
  // x, y [tokens, heads, head_size]; cos, sin [tokens, rotary_size]: the first rotary_size of each head are turned, the
  // rest copied. sign -1 turns back. Rows are tokens.
  void (*rope)(const T* x, const T* cos, const T* sin, T* y, int64_t begin, int64_t end, int64_t heads,
               int64_t head_size, int64_t rotary_size, float sign);
  // y = silu(gate) · up over elements.
  void (*swiglu)(const T* gate, const T* up, T* y, int64_t begin, int64_t end);
  void (*swiglu_backward)(const T* grad, const T* gate, const T* up, T* grad_gate, T* grad_up, int64_t begin,
                          int64_t end);
  // y = gelu(gate) · up over elements, with tanh's form of GELU (Hendrycks & Gimpel 2016), which is rounded to T first.
  void (*geglu_tanh)(const T* gate, const T* up, T* y, int64_t begin, int64_t end);
  // y = x · sigmoid(1.702 x) over elements.
  void (*quick_gelu)(const T* x, T* y, int64_t begin, int64_t end);
  // In place: softmax of scale · scores over the first min(keys, first + row % queries + 1) columns, 0 in the others.
  void (*causal_softmax)(T* scores, int64_t begin, int64_t end, int64_t keys, int64_t queries, int64_t first,
                         float scale);
  // grad becomes scale · p · (grad − Σ p · grad), 0 in the masked columns.
  void (*causal_softmax_backward)(const T* p, T* grad, int64_t begin, int64_t end, int64_t keys, int64_t queries,
                                  int64_t first, float scale);
};

template <class T>
const RowKernels<T>& row_kernels();

}  // namespace antiphon::kernels
