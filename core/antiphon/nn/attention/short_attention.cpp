#include <antiphon/nn/attention/short_attention.h>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <antiphon/kernels/for_rows.h>

#include <cmath>
#include <cstring>
#include <map>

namespace antiphon::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kLongest = 256, kShortestBucket = 32;

struct Stretch {
  int64_t begin, length;
};

// Sequences that are laid out with `slots` positions each; what a sequence does not fill is zero.
struct Bucket {
  int64_t slots;
  std::vector<Stretch> segments;
  int64_t count() const { return static_cast<int64_t>(segments.size()); }
};

std::vector<Bucket> buckets_of(const std::vector<int64_t>& lengths) {
  std::map<int64_t, Bucket> buckets;
  int64_t begin = 0;
  for (const auto length : lengths) {
    int64_t slots = kShortestBucket;
    while (slots < length) slots *= 2;
    auto& bucket = buckets[slots];
    bucket.slots = slots;
    bucket.segments.push_back({begin, length});
    begin += length;
  }
  std::vector<Bucket> list;
  for (auto& [slots, bucket] : buckets) list.push_back(std::move(bucket));
  return list;
}

// Moves rows of head_size between packed [tokens, heads, head_size] and laid out [segments, heads, slots, head_size].
template <class Move>
void for_each_row(const Bucket& bucket, const at::Tensor& packed, const at::Tensor& laid, const Move& move) {
  const int64_t heads = packed.size(1), bytes = packed.size(2) * static_cast<int64_t>(packed.element_size());
  auto* from = static_cast<char*>(packed.data_ptr());
  auto* to = static_cast<char*>(laid.data_ptr());
  kernels::share_rows(bucket.count() * heads, bucket.slots * packed.size(2), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto& segment = bucket.segments[static_cast<size_t>(i / heads)];
      for (int64_t t = 0; t < bucket.slots; ++t)
        move(t < segment.length ? from + ((segment.begin + t) * heads + i % heads) * bytes : nullptr,
             to + (i * bucket.slots + t) * bytes, static_cast<size_t>(bytes));
    }
  });
}

// -> [segments * groups, heads / groups * slots, head_size]
at::Tensor lay_out(const Bucket& bucket, const at::Tensor& packed_thd, int64_t groups) {
  const int64_t heads = packed_thd.size(1);
  auto laid =
      at::empty({bucket.count() * groups, heads / groups * bucket.slots, packed_thd.size(2)}, packed_thd.options());
  for_each_row(bucket, packed_thd, laid, [](char* packed, char* out, size_t bytes) {
    packed ? std::memcpy(out, packed, bytes) : std::memset(out, 0, bytes);
  });
  return laid;
}

void take_back(const Bucket& bucket, const at::Tensor& laid, const at::Tensor& packed_thd) {
  for_each_row(bucket, packed_thd, laid.contiguous(), [](char* packed, char* out, size_t bytes) {
    if (packed) std::memcpy(packed, out, bytes);
  });
}

void softmax(const at::Tensor& scores, double scale) {
  const int64_t keys = scores.size(-1);
  kernels::for_rows(scores, scores.numel() / keys, keys,
                    [&](const auto& kernel, auto type, int64_t begin, int64_t end) {
                      kernel.causal_softmax(kernels::data<decltype(type)>(scores), begin, end, keys, keys, 0,
                                            static_cast<float>(scale));
                    });
}

void softmax_backward(const at::Tensor& p, const at::Tensor& grad, double scale) {
  const int64_t keys = p.size(-1);
  kernels::for_rows(p, p.numel() / keys, keys, [&](const auto& kernel, auto type, int64_t begin, int64_t end) {
    using T = decltype(type);
    kernel.causal_softmax_backward(kernels::data<T>(p), kernels::data<T>(grad), begin, end, keys, keys, 0,
                                   static_cast<float>(scale));
  });
}

struct ShortAttention : torch::autograd::Function<ShortAttention> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& q_in, const at::Tensor& k_in,
                            const at::Tensor& v_in, const std::vector<int64_t>& lengths) {
    const auto q_thd = q_in.contiguous(), k_thd = k_in.contiguous(), v_thd = v_in.contiguous();
    const int64_t groups = k_thd.size(1);
    const double scale = 1 / std::sqrt(static_cast<double>(q_thd.size(2)));
    auto y = at::empty_like(q_thd);
    variable_list kept;
    for (const auto& bucket : buckets_of(lengths)) {
      // The query heads that share a key head are rows of one product: no key is repeated.
      const auto q = lay_out(bucket, q_thd, groups), k = lay_out(bucket, k_thd, groups),
                 v = lay_out(bucket, v_thd, groups);
      auto p = at::bmm(q, k.transpose(1, 2));
      softmax(p, scale);
      take_back(bucket, at::bmm(p, v), y);
      kept.insert(kept.end(), {q, k, v, p});
    }
    context->save_for_backward(std::move(kept));
    context->saved_data["lengths"] = lengths;
    return y.view({y.size(0), -1});
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto saved = context->get_saved_variables();
    const auto lengths = context->saved_data["lengths"].toIntVector();
    const int64_t tokens = grads[0].size(0), head_size = saved[0].size(2);
    const auto grad_thd = grads[0].contiguous().view({tokens, -1, head_size});
    const auto buckets = buckets_of(lengths);
    const int64_t groups = saved[1].size(0) / buckets[0].count();
    const double scale = 1 / std::sqrt(static_cast<double>(head_size));
    const auto grad_q = at::empty_like(grad_thd), grad_k = at::empty({tokens, groups, head_size}, grad_thd.options()),
               grad_v = at::empty_like(grad_k);
    for (size_t i = 0; i < buckets.size(); ++i) {
      const auto &q = saved[4 * i], &k = saved[4 * i + 1], &v = saved[4 * i + 2], &p = saved[4 * i + 3];
      const auto grad = lay_out(buckets[i], grad_thd, groups);
      take_back(buckets[i], at::bmm(p.transpose(1, 2), grad), grad_v);
      const auto grad_scores = at::bmm(grad, v.transpose(1, 2));
      softmax_backward(p, grad_scores, scale);
      take_back(buckets[i], at::bmm(grad_scores, k), grad_q);
      take_back(buckets[i], at::bmm(grad_scores.transpose(1, 2), q), grad_k);
    }
    return {grad_q, grad_k, grad_v, at::Tensor()};
  }
};

}  // namespace

bool fits_short_attention(const at::Tensor& q_thd, const std::vector<int64_t>& lengths) {
  return kernels::fits(q_thd) &&
         std::all_of(lengths.begin(), lengths.end(), [](int64_t length) { return length <= kLongest; });
}

at::Tensor short_attention(const at::Tensor& q_thd, const at::Tensor& k_thd, const at::Tensor& v_thd,
                           const std::vector<int64_t>& lengths) {
  return ShortAttention::apply(q_thd, k_thd, v_thd, lengths);
}

}  // namespace antiphon::nn
