#include <antiphon/kernels/cuda/device.cuh>
#ifdef __CUDACC__
#include <cuda_fp8.h>
#endif

namespace antiphon::kernels::cuda {
namespace {

constexpr int kSide = 64, kThreads = 256, kPack = 4, kLanes = kSide / kPack;

// Tiles of kSide x kSide: read once, written as they are and, through shared memory, transposed. A thread moves words
// of four values; both sides are multiples of four, so that none is cut.
template <class T>
__global__ void cast_tiles(const T* x, const float* scale, uint32_t* rows, uint32_t* columns, int64_t n, int64_t width,
                           int64_t padded, bool e5m2) {
  __shared__ uint32_t tile[kSide][kLanes + 1];  // words of a row; the last one keeps columns off one bank
  const float inverse = 1.0f / *scale;
  const auto format = e5m2 ? __NV_E5M2 : __NV_E4M3;
  const int64_t across = (width + kSide - 1) / kSide, tiles = across * ((padded + kSide - 1) / kSide);
  const int lane = static_cast<int>(threadIdx.x) % kLanes * kPack, first = static_cast<int>(threadIdx.x) / kLanes;
  for (int64_t index = blockIdx.x; index < tiles; index += gridDim.x) {
    const int64_t row0 = index / across * kSide, column0 = index % across * kSide;
    for (int i = first; i < kSide; i += kThreads / kLanes) {
      const int64_t row = row0 + i, column = column0 + lane;
      uint32_t word = 0;
      if (row < n && column < width) {
        const auto pack = Pack<T, kPack>::load(x + row * width + column);
#pragma unroll
        for (int j = 0; j < kPack; ++j)
          word |= static_cast<uint32_t>(__nv_cvt_float_to_fp8(pack.value[j] * inverse, __NV_SATFINITE, format))
                  << (8 * j);
        if (rows) rows[(row * width + column) / kPack] = word;
      }
      tile[i][lane / kPack] = word;
    }
    if (!columns) continue;
    __syncthreads();
    for (int i = first; i < kSide; i += kThreads / kLanes) {
      const int64_t column = column0 + i, row = row0 + lane;
      if (column >= width || row >= padded) continue;
      uint32_t word = 0;
#pragma unroll
      for (int j = 0; j < kPack; ++j) word |= (tile[lane + j][i / kPack] >> (8 * (i % kPack)) & 0xffu) << (8 * j);
      columns[(column * padded + row) / kPack] = word;
    }
    __syncthreads();
  }
}

}  // namespace

template <class T>
void to_float8(const T* x, const float* scale, uint32_t* rows, uint32_t* columns, int64_t n, int64_t width,
               int64_t padded, bool e5m2, cudaStream_t stream) {
  if (n == 0 || width == 0) return;
  const auto blocks = blocks_for((width + kSide - 1) / kSide * ((padded + kSide - 1) / kSide));
  ANTIPHON_LAUNCH((cast_tiles<T>), blocks, kThreads, stream, x, scale, rows, columns, n, width, padded, e5m2);
}

#define ANTIPHON_INSTANTIATE(T)                                                                             \
  template void to_float8<T>(const T*, const float*, uint32_t*, uint32_t*, int64_t, int64_t, int64_t, bool, \
                             cudaStream_t);
ANTIPHON_INSTANTIATE(float)
ANTIPHON_INSTANTIATE(__nv_bfloat16)
ANTIPHON_INSTANTIATE(__half)

}  // namespace antiphon::kernels::cuda
