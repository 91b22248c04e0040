// Launchers of the CUDA kernels: raw pointers and a stream, no LibTorch, so that nvcc compiles them in seconds. T is
// float, __nv_bfloat16 or __half. What each computes is in cuda_table.h.
#pragma once
#include <cstdint>

// As CUDA's headers declare them.
struct __half;
struct __nv_bfloat16;
struct CUstream_st;
typedef struct CUstream_st* cudaStream_t;

namespace antiphon::kernels::cuda {

template <class T>
void rms_norm(const T* x, const T* weight, T* y, float* rstd, int64_t rows, int64_t width, float eps,
              cudaStream_t stream);
template <class T>
void rms_norm_backward(const T* grad, const T* x, const T* weight, const float* rstd, T* grad_x, int64_t rows,
                       int64_t width, cudaStream_t stream);
// partial [chunks, width]: chunk c has the sum of grad · x · rstd over the rows c, c + chunks, …
template <class T>
void rms_norm_weight_backward(const T* grad, const T* x, const float* rstd, float* partial, int64_t rows, int64_t width,
                              int64_t chunks, cudaStream_t stream);
template <class T>
void rope(const T* x, const T* cos, const T* sin, T* y, int64_t tokens, int64_t heads, int64_t head_size,
          int64_t rotary_size, float sign, cudaStream_t stream);
template <class T>
void swiglu(const T* gate, const T* up, T* y, int64_t n, cudaStream_t stream);
template <class T>
void swiglu_backward(const T* grad, const T* gate, const T* up, T* grad_gate, T* grad_up, int64_t n,
                     cudaStream_t stream);
// As kernels::DropoutMask: value c of row r has the place first + r · stride + c.
struct Mask {
  uint64_t key;
  int64_t first, stride, threshold;
  float factor;
};
template <class T>
void dropout(const T* x, T* y, int64_t rows, int64_t columns, const Mask& mask, cudaStream_t stream);
template <class T>
void cross_entropy(T* logits, const int64_t* labels, float* token_loss, int64_t rows, int64_t vocabulary, bool gradient,
                   cudaStream_t stream);

// rows and columns in words of four values, aligned to them, as x is to four elements; either may be nullptr. width and
// padded are multiples of four.
template <class T>
void to_float8(const T* x, const float* scale, uint32_t* rows, uint32_t* columns, int64_t n, int64_t width,
               int64_t padded, bool e5m2, cudaStream_t stream);

// Keys and values are [blocks, kv_heads, block_size, head_size].
struct DecodeShape {
  int64_t n, heads, blocks, kv_heads, block_size, head_size;
};

// Which blocks a row has [n, most], and how many tokens they held before this one [n].
struct RowBlocks {
  const int64_t *blocks, *lengths;
  int64_t most, window;
};

template <class T>
void append_kv(const T* k, const T* v, T* keys, T* values, const int64_t* slots, const DecodeShape& shape,
               cudaStream_t stream);

constexpr int64_t kLargestHead = 256;
// Into how many parts the keys are split; the workspace holds n · heads · splits · (head_size + 2) floats.
int64_t decode_splits(int64_t capacity);
template <class T>
void decode_attention(const T* q, const T* keys, const T* values, const RowBlocks& rows, T* y, float* workspace,
                      const DecodeShape& shape, cudaStream_t stream);

}  // namespace antiphon::kernels::cuda
