// The row kernels of rows.h.
#include <antiphon/kernels/cpu/numbers.h>
#include <antiphon/kernels/rows.h>

namespace antiphon::kernels::ANTIPHON_ISA {
namespace {

template <class T, bool kPlusOne>
inline float weighed(float normal, T weight) {
  return kPlusOne ? normal * (load(weight) + 1.0f) : rounded<T>(normal) * load(weight);
}

template <class T, bool kPlusOne>
void rms_norm(const T* x, const T* weight, T* y, float* rstd, int64_t begin, int64_t end, int64_t width, float eps) {
  for (int64_t row = begin; row < end; ++row) {
    const T* in = x + row * width;
    T* out = y + row * width;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < width; ++i) sum += load(in[i]) * load(in[i]);
    const float scale = 1.0f / __builtin_sqrtf(sum / static_cast<float>(width) + eps);
    rstd[row] = scale;
#pragma omp simd
    for (int64_t i = 0; i < width; ++i) store(out + i, weighed<T, kPlusOne>(load(in[i]) * scale, weight[i]));
  }
}

template <class T>
void rms_norm_backward(const T* grad, const T* x, const T* weight, const float* rstd, T* grad_x, int64_t begin,
                       int64_t end, int64_t width) {
  for (int64_t row = begin; row < end; ++row) {
    const T *g = grad + row * width, *in = x + row * width;
    T* out = grad_x + row * width;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < width; ++i) sum += load(g[i]) * load(weight[i]) * load(in[i]);
    const float scale = rstd[row], mean = sum * scale * scale / static_cast<float>(width);
#pragma omp simd
    for (int64_t i = 0; i < width; ++i) store(out + i, scale * (load(g[i]) * load(weight[i]) - load(in[i]) * mean));
  }
}

template <class T>
void rope(const T* x, const T* cos, const T* sin, T* y, int64_t begin, int64_t end, int64_t heads, int64_t head_size,
          int64_t rotary_size, float sign) {
  const int64_t half = rotary_size / 2;
  for (int64_t token = begin; token < end; ++token) {
    const T *c = cos + token * rotary_size, *s = sin + token * rotary_size;
    for (int64_t head = 0; head < heads; ++head) {
      const T *first = x + (token * heads + head) * head_size, *second = first + half;
      T* out = y + (token * heads + head) * head_size;
#pragma omp simd
      for (int64_t i = 0; i < half; ++i) {
        const float a = load(first[i]), b = load(second[i]);
        store(out + i, a * load(c[i]) - sign * b * load(s[i]));
        store(out + half + i, b * load(c[half + i]) + sign * a * load(s[half + i]));
      }
      for (int64_t i = rotary_size; i < head_size; ++i) out[i] = first[i];
    }
  }
}

template <class T>
void swiglu(const T* gate, const T* up, T* y, int64_t begin, int64_t end) {
  const TinyIsZero scope;
#pragma omp simd
  for (int64_t i = begin; i < end; ++i) {
    const float g = load(gate[i]);
    store(y + i, g * sigmoid(g) * load(up[i]));
  }
}

template <class T>
void swiglu_backward(const T* grad, const T* gate, const T* up, T* grad_gate, T* grad_up, int64_t begin, int64_t end) {
  const TinyIsZero scope;
#pragma omp simd
  for (int64_t i = begin; i < end; ++i) {
    const float d = load(grad[i]), g = load(gate[i]), s = sigmoid(g);
    store(grad_gate + i, d * load(up[i]) * s * (1.0f + g * (1.0f - s)));
    store(grad_up + i, d * g * s);
  }
}

// (1 + tanh(z)) / 2 is sigmoid(2 z), which keeps its digits where tanh is near -1.
template <class T>
void geglu_tanh(const T* gate, const T* up, T* y, int64_t begin, int64_t end) {
  const TinyIsZero scope;
  constexpr float kTwice = 1.59576912160573f;  // 2 · sqrt(2 / π)
#pragma omp simd
  for (int64_t i = begin; i < end; ++i) {
    const float g = load(gate[i]);
    store(y + i, rounded<T>(g * sigmoid(kTwice * (g + 0.044715f * g * g * g))) * load(up[i]));
  }
}

template <class T>
void quick_gelu(const T* x, T* y, int64_t begin, int64_t end) {
  const TinyIsZero scope;
#pragma omp simd
  for (int64_t i = begin; i < end; ++i) store(y + i, load(x[i]) * sigmoid(1.702f * load(x[i])));
}

inline int64_t columns_seen(int64_t row, int64_t keys, int64_t queries, int64_t first) {
  const int64_t seen = first + row % queries + 1;
  return seen < keys ? seen : keys;
}

constexpr int64_t kShortRow = 4096;  // 16 KiB: half of a small first-level cache

// For at most kShortRow values. Each exponential is computed once and kept, and the row is filled up to whole
// registers: with what is 2^-125 of the largest.
template <class T>
inline void softmax_short(T* p, int64_t size, float scale) {
  float x[kShortRow];
  const int64_t padded = (size + 15) / 16 * 16;
  const float factor = scale * kLog2E;
  float largest = load(p[0]), sum = 0;
#pragma omp simd reduction(max : largest)
  for (int64_t i = 0; i < size; ++i) {
    x[i] = load(p[i]);
    largest = x[i] > largest ? x[i] : largest;
  }
  for (int64_t i = size; i < padded; ++i) x[i] = -3.4e38f;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < padded; ++i) sum += x[i] = power_of_two(factor * (x[i] - largest));
  const float inverse = 1.0f / sum;
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) store(p + i, x[i] * inverse);
}

// Exponentials are stored in float, without loss; in bfloat16 they are computed a second time.
template <class T>
inline void softmax_long(T* p, int64_t size, float scale) {
  constexpr bool kKept = sizeof(T) == sizeof(float);
  const float factor = scale * kLog2E;
  float largest = load(p[0]), sum = 0;
#pragma omp simd reduction(max : largest)
  for (int64_t i = 0; i < size; ++i) largest = load(p[i]) > largest ? load(p[i]) : largest;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < size; ++i) {
    const float x = power_of_two(factor * (load(p[i]) - largest));
    if (kKept) store(p + i, x);
    sum += x;
  }
  const float inverse = 1.0f / sum;
#pragma omp simd
  for (int64_t i = 0; i < size; ++i)
    store(p + i, (kKept ? load(p[i]) : power_of_two(factor * (load(p[i]) - largest))) * inverse);
}

template <class T>
void causal_softmax(T* scores, int64_t begin, int64_t end, int64_t keys, int64_t queries, int64_t first, float scale) {
  const TinyIsZero scope;
  for (int64_t row = begin; row < end; ++row) {
    T* p = scores + row * keys;
    const int64_t seen = columns_seen(row, keys, queries, first);
    seen <= kShortRow ? softmax_short(p, seen, scale) : softmax_long(p, seen, scale);
    for (int64_t i = seen; i < keys; ++i) p[i] = 0;
  }
}

template <class T>
void causal_softmax_backward(const T* p, T* grad, int64_t begin, int64_t end, int64_t keys, int64_t queries,
                             int64_t first, float scale) {
  const TinyIsZero scope;
  for (int64_t row = begin; row < end; ++row) {
    const T* probability = p + row * keys;
    T* g = grad + row * keys;
    const int64_t seen = columns_seen(row, keys, queries, first);
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < seen; ++i) sum += load(probability[i]) * load(g[i]);
#pragma omp simd
    for (int64_t i = 0; i < seen; ++i) store(g + i, scale * load(probability[i]) * (load(g[i]) - sum));
    for (int64_t i = seen; i < keys; ++i) g[i] = 0;
  }
}

template <class T>
constexpr RowKernels<T> table{rms_norm<T, false>, rms_norm<T, true>,         rms_norm_backward<T>, rope<T>,
                              swiglu<T>,          swiglu_backward<T>,        geglu_tanh<T>,        quick_gelu<T>,
                              causal_softmax<T>,  causal_softmax_backward<T>};

}  // namespace

const RowKernels<float>& float_table() { return table<float>; }
const RowKernels<uint16_t>& bfloat16_table() { return table<uint16_t>; }

}  // namespace antiphon::kernels::ANTIPHON_ISA
