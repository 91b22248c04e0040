#include <antiphon/kernels/cuda/device.cuh>

#include <cmath>

namespace antiphon::kernels::cuda {
namespace {

// Largest value so far, and the sum of exp(value - largest).
struct Running {
  float largest = -INFINITY, sum = 0;

  __device__ void add(float value) {
    if (value == -INFINITY) return;  // adds nothing; less itself it would not be a number
    if (value > largest) {
      sum *= expf(largest - value);
      largest = value;
    }
    sum += expf(value - largest);
  }
  __device__ void add(const Running& other) {
    const float joint = fmaxf(largest, other.largest);
    if (joint == -INFINITY) {  // neither has seen a finite value
      sum += other.sum;
      return;
    }
    sum = sum * expf(largest - joint) + other.sum * expf(other.largest - joint);
    largest = joint;
  }
};

__device__ Running warp_join(Running running) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) {
    Running other;
    other.largest = __shfl_xor_sync(0xffffffffu, running.largest, offset);
    other.sum = __shfl_xor_sync(0xffffffffu, running.sum, offset);
    running.add(other);
  }
  return running;
}

__device__ Running block_join(Running running) {
  __shared__ float largest[32], sum[32];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  running = warp_join(running);
  __syncthreads();
  if (lane == 0) largest[warp] = running.largest, sum[warp] = running.sum;
  __syncthreads();
  Running all;
  if (lane < warps) all.largest = largest[lane], all.sum = sum[lane];
  return warp_join(all);
}

// A block a row: one pass for the log-sum-exp, one that puts the gradient where the logits were. A value that is not a
// number makes the sum so; a label outside the vocabulary makes the loss so.
template <class T, int V>
__global__ void rows_of(T* logits, const int64_t* labels, float* token_loss, int64_t rows, int64_t vocabulary,
                        bool gradient) {
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    T* x = logits + row * vocabulary;
    Running running;
    for (int64_t i = threadIdx.x * V; i < vocabulary; i += blockDim.x * V) {
      const auto a = Pack<T, V>::load(x + i);
#pragma unroll
      for (int j = 0; j < V; ++j) running.add(a.value[j]);
    }
    const int64_t label = labels[row];
    const bool known = label >= 0 && label < vocabulary;
    const float of_label = known ? to_float(x[label]) : NAN;
    running = block_join(running);  // after it no thread reads another's logits
    if (threadIdx.x == 0) token_loss[row] = logf(running.sum) - (of_label - running.largest);
    if (!gradient) continue;
    const float inverse = 1.0f / running.sum;
    for (int64_t i = threadIdx.x * V; i < vocabulary; i += blockDim.x * V) {
      auto a = Pack<T, V>::load(x + i);
#pragma unroll
      for (int j = 0; j < V; ++j)
        a.value[j] = expf(a.value[j] - running.largest) * inverse - (i + j == label ? 1.0f : 0.0f);
      a.store(x + i);
    }
  }
}

}  // namespace

template <class T>
void cross_entropy(T* logits, const int64_t* labels, float* token_loss, int64_t rows, int64_t vocabulary, bool gradient,
                   cudaStream_t stream) {
  if (rows == 0 || vocabulary == 0) return;
  constexpr int V = kWide<T>;
  if (vocabulary % V == 0 && aligned({logits}))
    ANTIPHON_LAUNCH((rows_of<T, V>), blocks_for(rows), threads_for(vocabulary / V, 1024), stream, logits, labels,
                    token_loss, rows, vocabulary, gradient);
  else
    ANTIPHON_LAUNCH((rows_of<T, 1>), blocks_for(rows), threads_for(vocabulary, 1024), stream, logits, labels,
                    token_loss, rows, vocabulary, gradient);
}

template void cross_entropy<float>(float*, const int64_t*, float*, int64_t, int64_t, bool, cudaStream_t);
template void cross_entropy<__nv_bfloat16>(__nv_bfloat16*, const int64_t*, float*, int64_t, int64_t, bool,
                                           cudaStream_t);
template void cross_entropy<__half>(__half*, const int64_t*, float*, int64_t, int64_t, bool, cudaStream_t);

}  // namespace antiphon::kernels::cuda
