#include <antiphon/kernels/cuda/device.cuh>

namespace antiphon::kernels::cuda {
namespace {

// A block a row. The second pass finds the row in the first-level cache.
template <class T, int V>
__global__ void forward(const T* x, const T* weight, T* y, float* rstd, int64_t rows, int64_t width, float eps) {
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const T* in = x + row * width;
    float sum = 0;
    for (int64_t i = threadIdx.x * V; i < width; i += blockDim.x * V) {
      const auto a = Pack<T, V>::load(in + i);
#pragma unroll
      for (int j = 0; j < V; ++j) sum += a.value[j] * a.value[j];
    }
    const float scale = 1.0f / sqrtf(block_sum(sum) / static_cast<float>(width) + eps);
    if (threadIdx.x == 0) rstd[row] = scale;
    for (int64_t i = threadIdx.x * V; i < width; i += blockDim.x * V) {
      auto a = Pack<T, V>::load(in + i);
      const auto w = Pack<T, V>::load(weight + i);
#pragma unroll
      for (int j = 0; j < V; ++j) a.value[j] = to_float(from_float<T>(a.value[j] * scale)) * w.value[j];
      a.store(y + row * width + i);
    }
  }
}

template <class T, int V>
__global__ void backward(const T* grad, const T* x, const T* weight, const float* rstd, T* grad_x, int64_t rows,
                         int64_t width) {
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const T *g = grad + row * width, *in = x + row * width;
    float sum = 0;
    for (int64_t i = threadIdx.x * V; i < width; i += blockDim.x * V) {
      const auto a = Pack<T, V>::load(g + i), b = Pack<T, V>::load(in + i), w = Pack<T, V>::load(weight + i);
#pragma unroll
      for (int j = 0; j < V; ++j) sum += a.value[j] * w.value[j] * b.value[j];
    }
    const float scale = rstd[row], mean = block_sum(sum) * scale * scale / static_cast<float>(width);
    for (int64_t i = threadIdx.x * V; i < width; i += blockDim.x * V) {
      auto a = Pack<T, V>::load(g + i);
      const auto b = Pack<T, V>::load(in + i), w = Pack<T, V>::load(weight + i);
#pragma unroll
      for (int j = 0; j < V; ++j) a.value[j] = scale * (a.value[j] * w.value[j] - b.value[j] * mean);
      a.store(grad_x + row * width + i);
    }
  }
}

// A thread a pack of columns, a block a chunk of rows. Chunks are added up by the caller, in the same order every time.
template <class T, int V>
__global__ void weight_backward(const T* grad, const T* x, const float* rstd, float* partial, int64_t rows,
                                int64_t width) {
  const int64_t column = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) * V;
  if (column >= width) return;
  Pack<float, V> sum{};
  for (int64_t row = blockIdx.y; row < rows; row += gridDim.y) {
    const auto a = Pack<T, V>::load(grad + row * width + column), b = Pack<T, V>::load(x + row * width + column);
    const float scale = rstd[row];
#pragma unroll
    for (int j = 0; j < V; ++j) sum.value[j] += a.value[j] * b.value[j] * scale;
  }
  sum.store(partial + blockIdx.y * width + column);
}

template <class Launch>
void for_width(bool wide, const Launch& launch) {
  wide ? launch(std::true_type{}) : launch(std::false_type{});
}

}  // namespace

template <class T>
void rms_norm(const T* x, const T* weight, T* y, float* rstd, int64_t rows, int64_t width, float eps,
              cudaStream_t stream) {
  if (rows == 0 || width == 0) return;
  for_width(width % kWide<T> == 0 && aligned({x, weight, y}), [&](auto wide) {
    constexpr int V = wide ? kWide<T> : 1;
    ANTIPHON_LAUNCH((forward<T, V>), blocks_for(rows), threads_for(width / V, 512), stream, x, weight, y, rstd, rows,
                    width, eps);
  });
}

template <class T>
void rms_norm_backward(const T* grad, const T* x, const T* weight, const float* rstd, T* grad_x, int64_t rows,
                       int64_t width, cudaStream_t stream) {
  if (rows == 0 || width == 0) return;
  for_width(width % kWide<T> == 0 && aligned({grad, x, weight, grad_x}), [&](auto wide) {
    constexpr int V = wide ? kWide<T> : 1;
    ANTIPHON_LAUNCH((backward<T, V>), blocks_for(rows), threads_for(width / V, 512), stream, grad, x, weight, rstd,
                    grad_x, rows, width);
  });
}

template <class T>
void rms_norm_weight_backward(const T* grad, const T* x, const float* rstd, float* partial, int64_t rows, int64_t width,
                              int64_t chunks, cudaStream_t stream) {
  if (chunks == 0 || width == 0) return;
  for_width(width % kWide<T> == 0 && aligned({grad, x, partial}), [&](auto wide) {
    constexpr int V = wide ? kWide<T> : 1;
    constexpr int64_t kThreads = 128;
    const dim3 grid(static_cast<unsigned>((width + kThreads * V - 1) / (kThreads * V)), static_cast<unsigned>(chunks));
    ANTIPHON_LAUNCH((weight_backward<T, V>), grid, kThreads, stream, grad, x, rstd, partial, rows, width);
  });
}

#define ANTIPHON_INSTANTIATE(T)                                                                                       \
  template void rms_norm<T>(const T*, const T*, T*, float*, int64_t, int64_t, float, cudaStream_t);                   \
  template void rms_norm_backward<T>(const T*, const T*, const T*, const float*, T*, int64_t, int64_t, cudaStream_t); \
  template void rms_norm_weight_backward<T>(const T*, const T*, const float*, float*, int64_t, int64_t, int64_t,      \
                                            cudaStream_t);
ANTIPHON_INSTANTIATE(float)
ANTIPHON_INSTANTIATE(__nv_bfloat16)
ANTIPHON_INSTANTIATE(__half)

}  // namespace antiphon::kernels::cuda
