// The kernels of decode.h.
#include <antiphon/kernels/cpu/panels.h>
#include <antiphon/kernels/decode.h>

namespace antiphon::kernels::ANTIPHON_ISA {
namespace {

template <class T>
inline void put(const Product<T>& p, int64_t i, int64_t row, float value) {
  const int64_t at = i * p.stride + row;
  T y;
  store(&y, p.bias ? value + load(p.bias[row]) : value);
  if (p.residual) store(&y, load(y) + load(p.residual[at]));
  p.y[at] = y;
}

// Bytes of the matrix that are prefetched ahead: the hardware prefetcher stops at every page boundary.
constexpr int64_t kAhead = 4096;

// One row of the matrix times N rows of x, from row i on. A row at a time: memory is read fastest in one stream, twice
// as fast as in four. Two sums for each row of x whatever N is: what one gives does not depend on how many there are.
template <int N, class T, class W>
inline void row_times(const Product<T>& p, const W* weights, int64_t row, int64_t i) {
  constexpr int U = 2;
  const int64_t in = p.matrix.in;
  const W* w = weights + row * in;
  const float* x = p.x + i * in;
  Floats sum[N][U];
  for (auto& of_row : sum)
    for (auto& part : of_row) part = zero();
  int64_t k = 0;
  for (; k + U * kLanes <= in; k += U * kLanes)
    for (int u = 0; u < U; ++u) {
      __builtin_prefetch(w + k + u * kLanes + kAhead / sizeof(W));
      const Floats weight = lanes(w + k + u * kLanes);
      for (int j = 0; j < N; ++j) sum[j][u] = multiply_add(weight, lanes(x + j * in + k + u * kLanes), sum[j][u]);
    }
  for (int j = 0; j < N; ++j) {
    for (int u = 1; u < U; ++u) sum[j][0] = add(sum[j][0], sum[j][u]);
    float value = total(sum[j][0]);
    for (int64_t rest = k; rest < in; ++rest) value += load(w[rest]) * x[j * in + rest];
    put(p, i + j, row, value);
  }
}

template <class T, class W>
void multiply_rows(const Product<T>& p, int64_t begin, int64_t end) {
  const auto* w = static_cast<const W*>(p.matrix.values);
  for (int64_t row = begin; row < end; ++row) {
    int64_t i = 0;
    if constexpr (kManyRegisters)
      for (; i + 8 <= p.n; i += 8) row_times<8>(p, w, row, i);
    for (; i + 4 <= p.n; i += 4) row_times<4>(p, w, row, i);
    for (; i + 2 <= p.n; i += 2) row_times<2>(p, w, row, i);
    if (i < p.n) row_times<1>(p, w, row, i);
  }
}

// A panel times N rows of x. Four sums for each, or else each product would wait for the previous one.
template <class Format, int N, class T>
inline void panel(const Product<T>& p, int64_t index, int64_t i) {
  const int64_t in = p.matrix.in, groups = in / kGroup;
  const auto* values = static_cast<const uint8_t*>(p.matrix.values) + index * in / 2 * Format::kBytesOfPair;
  const uint16_t* scales = p.matrix.scales + index * groups * kPanel;
  Floats sum[N];
  for (auto& of_row : sum) of_row = zero();
  for (int64_t group = 0; group < groups; ++group) {
    Floats part[N][4];
    for (auto& of_row : part)
      for (auto& quarter : of_row) quarter = zero();
    const float* x = p.x + i * in + group * kGroup;
#pragma GCC unroll 16
    for (int64_t k = 0; k < kGroup; k += 2, values += Format::kBytesOfPair) {
      Floats even, odd;
      __builtin_prefetch(values + kAhead);
      Format::pair(values, even, odd);
      for (int j = 0; j < N; ++j) {
        part[j][k & 2] = multiply_add(even, x[j * in + k], part[j][k & 2]);
        part[j][(k & 2) + 1] = multiply_add(odd, x[j * in + k + 1], part[j][(k & 2) + 1]);
      }
    }
    const Floats scale = lanes(scales + group * kPanel);
    for (int j = 0; j < N; ++j)
      sum[j] = multiply_add(scale, add(add(part[j][0], part[j][1]), add(part[j][2], part[j][3])), sum[j]);
  }
  for (int j = 0; j < N; ++j) {
    float values_of_rows[kLanes];
    write(sum[j], values_of_rows);
    for (int r = 0; r < kLanes; ++r) put(p, i + j, index * kPanel + r, values_of_rows[r]);
  }
}

template <class Format, class T>
void multiply_panels(const Product<T>& p, int64_t begin, int64_t end) {
  for (int64_t index = begin / kPanel; index < end / kPanel; ++index) {
    int64_t i = 0;
    for (; i + 4 <= p.n; i += 4) panel<Format, 4>(p, index, i);
    for (; i + 2 <= p.n; i += 2) panel<Format, 2>(p, index, i);
    if (i < p.n) panel<Format, 1>(p, index, i);
  }
}

template <class T>
void multiply(const Product<T>& p, int64_t begin, int64_t end) {
  switch (p.matrix.format) {
    case WeightFormat::float32: return multiply_rows<T, float>(p, begin, end);
    case WeightFormat::bfloat16: return multiply_rows<T, uint16_t>(p, begin, end);
    case WeightFormat::int8: return multiply_panels<Int8>(p, begin, end);
    case WeightFormat::int4: return multiply_panels<Int4>(p, begin, end);
  }
}

template <class T>
void expand(const T* x, float* y, int64_t size) {
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) y[i] = load(x[i]);
}

template <class T>
void add_to(T* y, float factor, const T* x, int64_t size) {
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) store(y + i, rounded<T>(factor * load(y[i])) + load(x[i]));
}

// Calls visit(key or value, t) for each position that is seen, in order.
template <class T, class Visit>
inline void each_seen(const SeenBlocks<T>& seen, const T* const* blocks, int64_t head_size, const Visit& visit) {
  int64_t t = 0, at = seen.first;
  for (int64_t block = 0; t < seen.length; ++block, at = 0)
    for (const T* x = blocks[block] + at * head_size; at < seen.block_size && t < seen.length;
         ++at, ++t, x += head_size)
      visit(x, t);
}

template <class T>
void attend(const T* q, const SeenBlocks<T>& seen, int64_t head_size, float scale, float cap, float* scratch, T* y) {
  const TinyIsZero scope;
  float *p = scratch, *query = scratch + seen.length, *sum = query + head_size;
  float largest = -3.4e38f, weight = 0;
#pragma omp simd
  for (int64_t i = 0; i < head_size; ++i) query[i] = scale * load(q[i]), sum[i] = 0;
  each_seen(seen, seen.keys, head_size, [&](const T* key, int64_t t) {
    float score = 0;
#pragma omp simd reduction(+ : score)
    for (int64_t i = 0; i < head_size; ++i) score += query[i] * load(key[i]);
    p[t] = score;
    largest = score > largest ? score : largest;
  });
  if (cap > 0) {
#pragma omp simd
    for (int64_t t = 0; t < seen.length; ++t) p[t] = cap * hyperbolic_tangent(p[t] / cap);
    largest = cap * hyperbolic_tangent(largest / cap);
  }
#pragma omp simd reduction(+ : weight)
  for (int64_t t = 0; t < seen.length; ++t) weight += p[t] = power_of_two(kLog2E * (p[t] - largest));
  each_seen(seen, seen.values, head_size, [&](const T* value, int64_t t) {
    const float share = p[t];
#pragma omp simd
    for (int64_t i = 0; i < head_size; ++i) sum[i] += share * load(value[i]);
  });
#pragma omp simd
  for (int64_t i = 0; i < head_size; ++i) store(y + i, sum[i] / weight);
}

template <class T>
constexpr DecodeKernels<T> table{multiply<T>, expand<T>, add_to<T>, attend<T>, unpack<T>, pack<T>};

}  // namespace

const DecodeKernels<float>& float_decode_table() { return table<float>; }
const DecodeKernels<uint16_t>& bfloat16_decode_table() { return table<uint16_t>; }

}  // namespace antiphon::kernels::ANTIPHON_ISA
