#include <antiphon/kernels/cuda/device.cuh>

namespace antiphon::kernels::cuda {
namespace {

constexpr int64_t kThreads = 256;

__device__ inline float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

// An item is a pack of pairs (i, i + half) of one head, or a pack of what follows its rotary part.
template <class T, int V>
__global__ void rope_items(const T* x, const T* cos, const T* sin, T* y, int64_t items, int64_t heads,
                           int64_t head_size, int64_t rotary_size, float sign) {
  const int64_t half = rotary_size / 2, turning = half / V, of_head = turning + (head_size - rotary_size) / V;
  for (int64_t item = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; item < items;
       item += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    const int64_t head = item / of_head, part = item - head * of_head;
    const T* in = x + head * head_size;
    T* out = y + head * head_size;
    if (part >= turning) {
      const int64_t i = rotary_size + (part - turning) * V;
      Pack<T, V>::load(in + i).store(out + i);
      continue;
    }
    const int64_t i = part * V, at = head / heads * rotary_size + i;
    auto a = Pack<T, V>::load(in + i), b = Pack<T, V>::load(in + half + i);
    const auto c = Pack<T, V>::load(cos + at), s = Pack<T, V>::load(sin + at), c2 = Pack<T, V>::load(cos + at + half),
               s2 = Pack<T, V>::load(sin + at + half);
#pragma unroll
    for (int j = 0; j < V; ++j) {
      const float first = a.value[j], second = b.value[j];
      a.value[j] = first * c.value[j] - sign * second * s.value[j];
      b.value[j] = second * c2.value[j] + sign * first * s2.value[j];
    }
    a.store(out + i), b.store(out + half + i);
  }
}

// Calls body(first element, pack size) for the packs of n elements, and for the rest one by one.
template <int V, class Body>
__device__ void for_packs(int64_t n, const Body& body) {
  const int64_t thread = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x,
                step = static_cast<int64_t>(gridDim.x) * blockDim.x, rest = n / V * V;
  for (int64_t i = thread * V; i < rest; i += step * V) body(i, std::integral_constant<int, V>{});
  for (int64_t i = rest + thread; i < n; i += step) body(i, std::integral_constant<int, 1>{});
}

template <class T, int V>
__global__ void swiglu_items(const T* gate, const T* up, T* y, int64_t n) {
  for_packs<V>(n, [&](int64_t i, auto size) {
    constexpr int S = decltype(size)::value;
    auto g = Pack<T, S>::load(gate + i);
    const auto u = Pack<T, S>::load(up + i);
#pragma unroll
    for (int j = 0; j < S; ++j) g.value[j] = g.value[j] * sigmoid(g.value[j]) * u.value[j];
    g.store(y + i);
  });
}

template <class T, int V>
__global__ void swiglu_backward_items(const T* grad, const T* gate, const T* up, T* grad_gate, T* grad_up, int64_t n) {
  for_packs<V>(n, [&](int64_t i, auto size) {
    constexpr int S = decltype(size)::value;
    auto d = Pack<T, S>::load(grad + i), u = Pack<T, S>::load(up + i);
    const auto g = Pack<T, S>::load(gate + i);
#pragma unroll
    for (int j = 0; j < S; ++j) {
      const float s = sigmoid(g.value[j]), of_y = d.value[j];
      d.value[j] = of_y * g.value[j] * s;
      u.value[j] = of_y * u.value[j] * s * (1.0f + g.value[j] * (1.0f - s));
    }
    u.store(grad_gate + i), d.store(grad_up + i);
  });
}

// base/mixed.h, which is not a device function.
__device__ inline uint64_t mixed(uint64_t hash, uint64_t value) {
  hash += value + 0x9e3779b97f4a7c15;
  hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9;
  hash = (hash ^ (hash >> 27)) * 0x94d049bb133111eb;
  return hash ^ (hash >> 31);
}

constexpr int kHashBits = 24;  // kernels::DropoutMask

template <class T>
__global__ void dropout_items(const T* x, T* y, int64_t n, int64_t columns, Mask mask) {
  for_packs<1>(n, [&](int64_t i, auto) {
    const int64_t r = i / columns, place = mask.first + r * mask.stride + i - r * columns;
    const auto number = static_cast<int64_t>(mixed(mask.key, static_cast<uint64_t>(place)) >> (64 - kHashBits));
    y[i] = from_float<T>(number >= mask.threshold ? to_float(x[i]) * mask.factor : 0.0f);
  });
}

}  // namespace

template <class T>
void dropout(const T* x, T* y, int64_t rows, int64_t columns, const Mask& mask, cudaStream_t stream) {
  const int64_t n = rows * columns;
  if (n == 0) return;
  ANTIPHON_LAUNCH((dropout_items<T>), blocks_for((n + kThreads - 1) / kThreads), kThreads, stream, x, y, n, columns,
                  mask);
}

template <class T>
void rope(const T* x, const T* cos, const T* sin, T* y, int64_t tokens, int64_t heads, int64_t head_size,
          int64_t rotary_size, float sign, cudaStream_t stream) {
  constexpr int V = kWide<T>;
  const int64_t half = rotary_size / 2;
  const bool wide = half % V == 0 && head_size % V == 0 && aligned({x, cos, sin, y});
  const int64_t items = tokens * heads * (half + head_size - rotary_size) / (wide ? V : 1);
  if (items == 0) return;
  const auto blocks = blocks_for((items + kThreads - 1) / kThreads);
  if (wide)
    ANTIPHON_LAUNCH((rope_items<T, V>), blocks, kThreads, stream, x, cos, sin, y, items, heads, head_size, rotary_size,
                    sign);
  else
    ANTIPHON_LAUNCH((rope_items<T, 1>), blocks, kThreads, stream, x, cos, sin, y, items, heads, head_size, rotary_size,
                    sign);
}

template <class T>
void swiglu(const T* gate, const T* up, T* y, int64_t n, cudaStream_t stream) {
  if (n == 0) return;
  constexpr int V = kWide<T>;
  const auto blocks = blocks_for((n / V + kThreads) / kThreads);
  if (aligned({gate, up, y}))
    ANTIPHON_LAUNCH((swiglu_items<T, V>), blocks, kThreads, stream, gate, up, y, n);
  else
    ANTIPHON_LAUNCH((swiglu_items<T, 1>), blocks, kThreads, stream, gate, up, y, n);
}

template <class T>
void swiglu_backward(const T* grad, const T* gate, const T* up, T* grad_gate, T* grad_up, int64_t n,
                     cudaStream_t stream) {
  if (n == 0) return;
  constexpr int V = kWide<T>;
  const auto blocks = blocks_for((n / V + kThreads) / kThreads);
  if (aligned({grad, gate, up, grad_gate, grad_up}))
    ANTIPHON_LAUNCH((swiglu_backward_items<T, V>), blocks, kThreads, stream, grad, gate, up, grad_gate, grad_up, n);
  else
    ANTIPHON_LAUNCH((swiglu_backward_items<T, 1>), blocks, kThreads, stream, grad, gate, up, grad_gate, grad_up, n);
}

#define ANTIPHON_INSTANTIATE(T)                                                                                     \
  template void rope<T>(const T*, const T*, const T*, T*, int64_t, int64_t, int64_t, int64_t, float, cudaStream_t); \
  template void dropout<T>(const T*, T*, int64_t, int64_t, const Mask&, cudaStream_t);                              \
  template void swiglu<T>(const T*, const T*, T*, int64_t, cudaStream_t);                                           \
  template void swiglu_backward<T>(const T*, const T*, const T*, T*, T*, int64_t, cudaStream_t);
ANTIPHON_INSTANTIATE(float)
ANTIPHON_INSTANTIATE(__nv_bfloat16)
ANTIPHON_INSTANTIATE(__half)

}  // namespace antiphon::kernels::cuda
