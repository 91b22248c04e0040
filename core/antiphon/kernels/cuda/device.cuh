// What the kernels share: packs of elements that are moved at once, sums over a warp and a block, sizes of grids.
#pragma once
#include <antiphon/kernels/cuda/launch.h>

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#define ANTIPHON_LAUNCH(kernel, blocks, threads, stream, ...) kernel<<<blocks, threads, 0, stream>>>(__VA_ARGS__)
#else  // the same source on the CPU, for tests
#include <antiphon/kernels/cuda/emulate.h>
#endif

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <type_traits>

namespace antiphon::kernels::cuda {

__device__ inline float to_float(float value) { return value; }
__device__ inline float to_float(__nv_bfloat16 value) { return __bfloat162float(value); }
__device__ inline float to_float(__half value) { return __half2float(value); }
template <class T>
__device__ inline T from_float(float value);
template <>
__device__ inline float from_float<float>(float value) {
  return value;
}
template <>
__device__ inline __nv_bfloat16 from_float<__nv_bfloat16>(float value) {
  return __float2bfloat16_rn(value);
}
template <>
__device__ inline __half from_float<__half>(float value) {
  return __float2half_rn(value);
}

// A word of each size that one instruction moves.
template <int bytes>
struct WordOf;
template <>
struct WordOf<2> {
  using type = uint16_t;
};
template <>
struct WordOf<4> {
  using type = uint32_t;
};
template <>
struct WordOf<8> {
  using type = uint2;
};
template <>
struct WordOf<16> {
  using type = uint4;
};

// V elements as floats; loads and stores take the widest words, at most 16 bytes, that V elements fill.
template <class T, int V>
struct Pack {
  static constexpr int kBytes = V * sizeof(T) < 16 ? static_cast<int>(V * sizeof(T)) : 16;
  static constexpr int kWords = static_cast<int>(V * sizeof(T)) / kBytes;
  using Word = typename WordOf<kBytes>::type;
  float value[V];

  __device__ static Pack load(const T* from) {
    Word words[kWords];
#pragma unroll
    for (int i = 0; i < kWords; ++i) words[i] = reinterpret_cast<const Word*>(from)[i];
    T elements[V];
    memcpy(elements, words, sizeof(elements));
    Pack pack;
#pragma unroll
    for (int i = 0; i < V; ++i) pack.value[i] = to_float(elements[i]);
    return pack;
  }
  __device__ void store(T* to) const {
    T elements[V];
#pragma unroll
    for (int i = 0; i < V; ++i) elements[i] = from_float<T>(value[i]);
    Word words[kWords];
    memcpy(words, elements, sizeof(elements));
#pragma unroll
    for (int i = 0; i < kWords; ++i) reinterpret_cast<Word*>(to)[i] = words[i];
  }
};

template <class T>
constexpr int kWide = 16 / static_cast<int>(sizeof(T));

__device__ inline float warp_sum(float value) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) value += __shfl_xor_sync(0xffffffffu, value, offset);
  return value;
}

// The sum over the block, in every thread. The block has whole warps, at most 32.
__device__ inline float block_sum(float value) {
  __shared__ float parts[32];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  value = warp_sum(value);
  __syncthreads();  // an earlier call's parts have been read
  if (lane == 0) parts[warp] = value;
  __syncthreads();
  return warp_sum(lane < warps ? parts[lane] : 0.0f);
}

// Threads of a block that works on `items` at a time: whole warps, at most `most`.
inline unsigned threads_for(int64_t items, int64_t most) {
  return static_cast<unsigned>(std::clamp<int64_t>((items + 31) / 32 * 32, 32, most));
}

// Kernels step over their work by the grid's size, so that a grid need not cover it.
inline unsigned blocks_for(int64_t items) {
  constexpr int64_t kMost = 16384;
  return static_cast<unsigned>(std::clamp<int64_t>(items, 1, kMost));
}

inline bool aligned(std::initializer_list<const void*> pointers) {
  return std::all_of(pointers.begin(), pointers.end(),
                     [](const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; });
}

}  // namespace antiphon::kernels::cuda
