#include <antiphon/kernels/cuda/device.cuh>

#include <cmath>

namespace antiphon::kernels::cuda {
namespace {

constexpr int kWarps = 4, kKeys = 4;  // of a block; keys that a warp has in flight

template <class T>
__global__ void append_items(const T* k, const T* v, T* keys, T* values, const int64_t* slots, DecodeShape shape) {
  const int64_t of_token = shape.kv_heads * shape.head_size, items = shape.n * of_token;
  for (int64_t item = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; item < items;
       item += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    const int64_t token = item / of_token, head = (item - token * of_token) / shape.head_size,
                  i = item % shape.head_size, slot = slots[token], block = slot / shape.block_size;
    if (block >= shape.blocks) continue;
    const int64_t place = slot - block * shape.block_size;
    const int64_t to = ((block * shape.kv_heads + head) * shape.block_size + place) * shape.head_size + i;
    keys[to] = k[item], values[to] = v[item];
  }
}

// Where the keys of one head of one row lie.
struct HeadBlocks {
  const int64_t* blocks;
  int64_t kv_heads, kv_head, block_size, size;
  __device__ int64_t at(int64_t position) const {
    // 32 bits: a division of 64 takes several times as long.
    const auto p = static_cast<uint32_t>(position), in_block = static_cast<uint32_t>(block_size);
    return ((blocks[p / in_block] * kv_heads + kv_head) * block_size + p % in_block) * size;
  }
};

// The state of a softmax over keys that come one after the other (Milakov & Gimelshein 2018), in powers of two.
struct Softmax {
  float largest = -INFINITY, sum = 0;
};

// The E elements of a head that a lane has, from lane * E on; zeros behind the head's end.
template <class T, int E>
__device__ Pack<T, E> part_of(const T* head, int64_t size, bool whole) {
  const int64_t begin = (threadIdx.x % 32) * E;
  if (whole) return Pack<T, E>::load(head + begin);
  Pack<T, E> part;
#pragma unroll
  for (int e = 0; e < E; ++e) part.value[e] = begin + e < size ? to_float(head[begin + e]) : 0.0f;
  return part;
}

// One step of a warp: kKeys keys from `key` on, for the G query heads in q.
template <class T, int E, int G>
__device__ void attend(const Pack<T, E> (&q)[G], const T* keys, const T* values, const HeadBlocks& head, int64_t key,
                       int64_t end, bool whole, Softmax (&state)[G], float (&sum)[G][E]) {
  Pack<T, E> k[kKeys], v[kKeys];
#pragma unroll
  for (int u = 0; u < kKeys; ++u) {
    const int64_t from =
        key + u < end ? key + u : key;  // what lies behind the end is read as the first and not counted
    const int64_t at = head.at(from);
    k[u] = part_of<T, E>(keys + at, head.size, whole);
    v[u] = part_of<T, E>(values + at, head.size, whole);
  }
#pragma unroll
  for (int g = 0; g < G; ++g) {
    float score[kKeys], largest = state[g].largest;
#pragma unroll
    for (int u = 0; u < kKeys; ++u) {
      float dot = 0;
#pragma unroll
      for (int e = 0; e < E; ++e) dot += q[g].value[e] * k[u].value[e];
      score[u] = key + u < end ? warp_sum(dot) : -INFINITY;
      largest = fmaxf(largest, score[u]);
    }
    const float kept = exp2f(state[g].largest - largest);
    state[g].largest = largest, state[g].sum *= kept;
#pragma unroll
    for (int e = 0; e < E; ++e) sum[g][e] *= kept;
#pragma unroll
    for (int u = 0; u < kKeys; ++u) {
      const float p = exp2f(score[u] - largest);
      state[g].sum += p;
#pragma unroll
      for (int e = 0; e < E; ++e) sum[g][e] += p * v[u].value[e];
    }
  }
}

// What each part of the keys gives: the workspace is [n, heads, splits, head_size] sums of values, then
// [n, heads, splits, 2] largest score and sum of powers.
struct Parts {
  float *values, *states;
  int64_t splits;
};

// A block: part blockIdx.x of the keys, G query heads of one key head, one row.
template <class T, int E, int G>
__global__ void __launch_bounds__(kWarps * 32)
    attend_part(const T* q, const T* keys, const T* values, RowBlocks rows, Parts parts, DecodeShape shape,
                int64_t keys_of_part, bool whole) {
  __shared__ float largests[kWarps][G], totals[kWarps][G];
  __shared__ float sums[kWarps][G][32 * E];
  const int64_t group = shape.heads / shape.kv_heads, tiles = (group + G - 1) / G, size = shape.head_size;
  const int64_t kv_head = blockIdx.y / tiles, first = blockIdx.y % tiles * G, n = blockIdx.z;
  const int64_t heads = group - first < G ? group - first : G, head = kv_head * group + first;
  const int64_t capacity = rows.most * shape.block_size;
  const int64_t length = rows.lengths[n] + 1 < capacity ? rows.lengths[n] + 1 : capacity;
  const int64_t seen = rows.window > 0 && length > rows.window ? length - rows.window : 0;
  const int64_t begin_of_part = static_cast<int64_t>(blockIdx.x) * keys_of_part,
                end_of_part = begin_of_part + keys_of_part;
  const int64_t begin = begin_of_part > seen ? begin_of_part : seen, end = end_of_part < length ? end_of_part : length;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int64_t slot = (n * shape.heads + head) * parts.splits + blockIdx.x;  // of the first head
  if (begin >= end) {
    if (threadIdx.x < heads) {
      float* state = parts.states + (slot + threadIdx.x * parts.splits) * 2;
      state[0] = -INFINITY, state[1] = 0;
    }
    return;
  }
  const float scale = rsqrtf(static_cast<float>(size)) * 1.44269504088896341f;
  Pack<T, E> query[G];
  Softmax state[G];
  float sum[G][E] = {};
#pragma unroll
  for (int g = 0; g < G; ++g) {
    query[g] = part_of<T, E>(q + (n * shape.heads + head + (g < heads ? g : 0)) * size, size, whole);
#pragma unroll
    for (int e = 0; e < E; ++e) query[g].value[e] *= scale;
  }
  const HeadBlocks blocks{rows.blocks + n * rows.most, shape.kv_heads, kv_head, shape.block_size, size};
  for (int64_t key = begin + warp * kKeys; key < end; key += kWarps * kKeys)
    attend<T, E, G>(query, keys, values, blocks, key, end, whole, state, sum);
#pragma unroll
  for (int g = 0; g < G; ++g) {
    if (lane == 0) largests[warp][g] = state[g].largest, totals[warp][g] = state[g].sum;
#pragma unroll
    for (int e = 0; e < E; ++e) sums[warp][g][lane * E + e] = sum[g][e];
  }
  __syncthreads();
  for (int64_t g = 0; g < heads; ++g) {
    float largest = -INFINITY, total = 0, weight[kWarps];
    for (int w = 0; w < kWarps; ++w) largest = fmaxf(largest, largests[w][g]);
    for (int w = 0; w < kWarps; ++w) {
      weight[w] = totals[w][g] == 0 ? 0 : exp2f(largests[w][g] - largest);
      total += weight[w] * totals[w][g];
    }
    float* out = parts.values + (slot + g * parts.splits) * size;
    for (int64_t i = threadIdx.x; i < size; i += blockDim.x) {
      float value = 0;
      for (int w = 0; w < kWarps; ++w) value += weight[w] * sums[w][g][i];
      out[i] = value;
    }
    float* joined = parts.states + (slot + g * parts.splits) * 2;
    if (threadIdx.x == 0) joined[0] = largest, joined[1] = total;
  }
}

// A block a head of a row.
template <class T>
__global__ void join_parts(Parts parts, T* y, int64_t size) {
  const int64_t head = blockIdx.x;
  const float *state = parts.states + head * parts.splits * 2, *values = parts.values + head * parts.splits * size;
  float largest = -INFINITY, total = 0;
  for (int64_t s = 0; s < parts.splits; ++s)
    if (state[2 * s + 1] != 0) largest = fmaxf(largest, state[2 * s]);
  for (int64_t s = 0; s < parts.splits; ++s)
    if (state[2 * s + 1] != 0) total += exp2f(state[2 * s] - largest) * state[2 * s + 1];
  for (int64_t i = threadIdx.x; i < size; i += blockDim.x) {
    float value = 0;
    for (int64_t s = 0; s < parts.splits; ++s)
      if (state[2 * s + 1] != 0) value += exp2f(state[2 * s] - largest) * values[s * size + i];
    y[head * size + i] = from_float<T>(value / total);
  }
}

template <class T, int E, int G>
void launch(const T* q, const T* keys, const T* values, const RowBlocks& rows, const Parts& parts, const DecodeShape& s,
            cudaStream_t stream) {
  const int64_t group = s.heads / s.kv_heads,
                keys_of_part = (rows.most * s.block_size + parts.splits - 1) / parts.splits;
  const dim3 grid(static_cast<unsigned>(parts.splits), static_cast<unsigned>(s.kv_heads * ((group + G - 1) / G)),
                  static_cast<unsigned>(s.n));
  const bool whole = s.head_size == 32 * E && aligned({q, keys, values});
  ANTIPHON_LAUNCH((attend_part<T, E, G>), grid, kWarps * 32, stream, q, keys, values, rows, parts, s, keys_of_part,
                  whole);
}

template <class T, int E>
void launch(const T* q, const T* keys, const T* values, const RowBlocks& rows, const Parts& parts, const DecodeShape& s,
            cudaStream_t stream) {
  const int64_t group = s.heads / s.kv_heads;
  if (group == 1) return launch<T, E, 1>(q, keys, values, rows, parts, s, stream);
  if (group == 2) return launch<T, E, 2>(q, keys, values, rows, parts, s, stream);
  launch<T, E, 4>(q, keys, values, rows, parts, s, stream);
}

}  // namespace

int64_t decode_splits(int64_t capacity) {
  constexpr int64_t kKeysOfPart = 128, kMost = 64;
  return std::clamp<int64_t>((capacity + kKeysOfPart - 1) / kKeysOfPart, 1, kMost);
}

template <class T>
void append_kv(const T* k, const T* v, T* keys, T* values, const int64_t* slots, const DecodeShape& shape,
               cudaStream_t stream) {
  const int64_t items = shape.n * shape.kv_heads * shape.head_size;
  if (items == 0) return;
  ANTIPHON_LAUNCH((append_items<T>), blocks_for((items + 255) / 256), 256, stream, k, v, keys, values, slots, shape);
}

template <class T>
void decode_attention(const T* q, const T* keys, const T* values, const RowBlocks& rows, T* y, float* workspace,
                      const DecodeShape& s, cudaStream_t stream) {
  if (s.n == 0 || s.heads == 0) return;
  const int64_t splits = decode_splits(rows.most * s.block_size);
  const Parts parts{workspace, workspace + s.n * s.heads * splits * s.head_size, splits};
  if (s.head_size <= 64)
    launch<T, 2>(q, keys, values, rows, parts, s, stream);
  else if (s.head_size <= 128)
    launch<T, 4>(q, keys, values, rows, parts, s, stream);
  else
    launch<T, 8>(q, keys, values, rows, parts, s, stream);
  ANTIPHON_LAUNCH((join_parts<T>), static_cast<unsigned>(s.n * s.heads), threads_for(s.head_size, 128), stream, parts,
                  y, s.head_size);
}

#define ANTIPHON_INSTANTIATE(T)                                                                                     \
  template void append_kv<T>(const T*, const T*, T*, T*, const int64_t*, const DecodeShape&, cudaStream_t);         \
  template void decode_attention<T>(const T*, const T*, const T*, const RowBlocks&, T*, float*, const DecodeShape&, \
                                    cudaStream_t);
ANTIPHON_INSTANTIATE(float)
ANTIPHON_INSTANTIATE(__nv_bfloat16)
ANTIPHON_INSTANTIATE(__half)

}  // namespace antiphon::kernels::cuda
