// Runs the CUDA kernels' source on the CPU, for tests without a GPU: block after block, a block's threads as fibers
// that switch at barriers and shuffles. What this cannot show: races between threads that no barrier orders, alignment
// faults, speed.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>

#define __global__
#define __device__
#define __launch_bounds__(...)
#define __shared__ static
#define ANTIPHON_LAUNCH(kernel, blocks, threads, stream, ...) \
  antiphon::kernels::cuda::emulate(blocks, threads, [&] { (kernel)(__VA_ARGS__); })

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  dim3(unsigned x, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct uint2 {
  uint32_t x, y;
};
struct uint4 {
  uint32_t x, y, z, w;
};
struct __nv_bfloat16 {
  uint16_t bits;
};
struct __half {
  uint16_t bits;
};
enum __nv_saturation_t { __NV_NOSAT, __NV_SATFINITE };
enum __nv_fp8_interpretation_t { __NV_E4M3, __NV_E5M2 };

namespace antiphon::kernels::cuda {

struct Index {
  unsigned x = 0, y = 0, z = 0;
};
extern Index threadIdx, blockIdx, blockDim, gridDim;

void emulate(dim3 blocks, dim3 threads, const std::function<void()>& kernel);
void __syncthreads();
float __shfl_xor_sync(unsigned mask, float value, int offset);

inline float __bfloat162float(__nv_bfloat16 value) {
  return __builtin_bit_cast(float, static_cast<uint32_t>(value.bits) << 16);
}
inline __nv_bfloat16 __float2bfloat16_rn(float value) {
  const auto bits = __builtin_bit_cast(uint32_t, value);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  return {static_cast<uint16_t>(value != value ? 0x7fffu : rounded)};
}
float __half2float(__half value);
__half __float2half_rn(float value);
uint8_t __nv_cvt_float_to_fp8(float value, __nv_saturation_t, __nv_fp8_interpretation_t format);
inline float rsqrtf(float value) { return 1.0f / std::sqrt(value); }

}  // namespace antiphon::kernels::cuda
