#include <antiphon/nn/attention/block_attention.h>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <antiphon/kernels/for_rows.h>

#include <cmath>

namespace antiphon::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kBlock = 128;  // queries; measured: 64 to 128 are fastest from 500 to 2000 tokens

// Neighbouring sequences of one length, from token `begin` on.
struct Run {
  int64_t begin, count, length;
  int64_t tokens() const { return count * length; }
};

std::vector<Run> runs_of(const std::vector<int64_t>& lengths) {
  std::vector<Run> runs;
  int64_t begin = 0;
  for (const auto length : lengths) {
    if (length > 0 && !runs.empty() && runs.back().length == length)
      ++runs.back().count;
    else if (length > 0)
      runs.push_back({begin, 1, length});
    begin += length;
  }
  return runs;
}

// Queries [first, first + count) of each sequence of a run, and the keys that they see.
struct Block {
  int64_t first, count, keys;
};

// `past` keys stand before the first query.
std::vector<Block> blocks_of(int64_t length, bool causal, int64_t past = 0) {
  std::vector<Block> blocks;
  for (int64_t first = 0; first < length; first += kBlock) {
    const int64_t count = std::min(kBlock, length - first);
    blocks.push_back({first, count, past + (causal ? first + count : length)});
  }
  return blocks;
}

// x [tokens, heads, head_size] of a run as [sequences, length, groups, heads / groups, head_size].
at::Tensor cut(const at::Tensor& x_thd, const Run& run, int64_t groups) {
  return x_thd.narrow(0, run.begin, run.tokens()).view({run.count, run.length, groups, -1, x_thd.size(2)});
}

// The query heads that share a key head are rows of one product: -> [sequences * groups, heads / groups * queries,
// head_size].
at::Tensor queries(const at::Tensor& cut_x, const Block& block) {
  const auto some = cut_x.narrow(1, block.first, block.count).permute({0, 2, 3, 1, 4});
  return some.reshape({some.size(0) * some.size(1), -1, some.size(4)});
}

// oneDNN's products of bfloat16 take only what lies densely: LibTorch would copy anything else in each product, and
// transposed keys number by number.
at::Tensor dense(const at::Tensor& x) { return x.scalar_type() == at::kBFloat16 ? x.contiguous() : x; }

// -> [sequences * groups, length, head_size]
at::Tensor keys(const at::Tensor& cut_x) {
  return dense(cut_x.squeeze(3).transpose(1, 2).reshape({-1, cut_x.size(1), cut_x.size(4)}));
}

// What a block sees of keys or values.
at::Tensor seen_by(const Block& block, const at::Tensor& laid) { return dense(laid.narrow(1, 0, block.keys)); }

// Back from `queries` to the place of the block.
void put(const at::Tensor& laid, const at::Tensor& cut_x, const Block& block) {
  const auto to = cut_x.narrow(1, block.first, block.count);
  to.copy_(laid.view({to.size(0), to.size(2), to.size(3), block.count, to.size(4)}).permute({0, 3, 1, 2, 4}));
}

template <class Body>
void for_scores(const at::Tensor& scores, const Body& body) {
  kernels::for_rows(scores, scores.numel() / scores.size(-1), scores.size(-1), body);
}

// The first query of a block sees one key more than this, and every other one more than the query before it.
int64_t seen_before(const Block& block, bool causal) { return causal ? block.keys - block.count : block.keys; }

at::Tensor probabilities(const at::Tensor& q, const at::Tensor& k, const Block& block, bool causal, double scale) {
  auto scores = at::bmm(q, k.transpose(1, 2));
  for_scores(scores, [&](const auto& kernel, auto type, int64_t begin, int64_t end) {
    kernel.causal_softmax(kernels::data<decltype(type)>(scores), begin, end, block.keys, block.count,
                          seen_before(block, causal), static_cast<float>(scale));
  });
  return scores;
}

void softmax_backward(const at::Tensor& p, const at::Tensor& grad, const Block& block, bool causal, double scale) {
  for_scores(grad, [&](const auto& kernel, auto type, int64_t begin, int64_t end) {
    using T = decltype(type);
    kernel.causal_softmax_backward(kernels::data<T>(p), kernels::data<T>(grad), begin, end, block.keys, block.count,
                                   seen_before(block, causal), static_cast<float>(scale));
  });
}

double scale_of(const at::Tensor& q_thd) { return 1 / std::sqrt(static_cast<double>(q_thd.size(2))); }

at::Tensor attend(const at::Tensor& q_thd, const at::Tensor& k_thd, const at::Tensor& v_thd,
                  const std::vector<int64_t>& lengths, bool causal) {
  const int64_t groups = k_thd.size(1);
  auto y = at::empty_like(q_thd);
  for (const auto& run : runs_of(lengths)) {
    const auto k = keys(cut(k_thd, run, groups)), v = keys(cut(v_thd, run, groups));
    const auto from = cut(q_thd, run, groups), to = cut(y, run, groups);
    for (const auto& block : blocks_of(run.length, causal)) {
      const auto p = probabilities(queries(from, block), seen_by(block, k), block, causal, scale_of(q_thd));
      put(at::bmm(p, seen_by(block, v)), to, block);
    }
  }
  return y;
}

struct Gradients {
  at::Tensor q, k, v;
};

void backward_run(const Run& run, const variable_list& qkv, const at::Tensor& grad_thd, bool causal,
                  const Gradients& out) {
  const int64_t groups = qkv[1].size(1);
  const double scale = scale_of(qkv[0]);
  const auto from = cut(qkv[0], run, groups), grads = cut(grad_thd, run, groups), grad_q = cut(out.q, run, groups);
  const auto k = keys(cut(qkv[1], run, groups)), v = keys(cut(qkv[2], run, groups));
  // Sums over blocks, in float32.
  const auto grad_k = at::zeros(k.sizes(), k.options().dtype(at::kFloat)), grad_v = at::zeros_like(grad_k);
  for (const auto& block : blocks_of(run.length, causal)) {
    const auto q = queries(from, block), grad = queries(grads, block);
    const auto k_seen = seen_by(block, k), v_seen = seen_by(block, v);
    const auto p = probabilities(q, k_seen, block, causal, scale);
    grad_v.narrow(1, 0, block.keys).add_(at::bmm(p.transpose(1, 2), grad));
    const auto grad_scores = at::bmm(grad, v_seen.transpose(1, 2));
    softmax_backward(p, grad_scores, block, causal, scale);
    put(at::bmm(grad_scores, k_seen), grad_q, block);
    grad_k.narrow(1, 0, block.keys).add_(at::bmm(grad_scores.transpose(1, 2), q));
  }
  const auto back = [&](const at::Tensor& sums, const at::Tensor& to) {
    cut(to, run, groups).squeeze(3).transpose(1, 2).copy_(sums.view({run.count, groups, run.length, -1}));
  };
  back(grad_k, out.k), back(grad_v, out.v);
}

struct BlockAttention : torch::autograd::Function<BlockAttention> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const std::vector<int64_t>& lengths, bool causal) {
    const variable_list qkv{q.contiguous(), k.contiguous(), v.contiguous()};
    context->save_for_backward(qkv);
    context->saved_data["lengths"] = lengths, context->saved_data["causal"] = causal;
    return attend(qkv[0], qkv[1], qkv[2], lengths, causal).view({q.size(0), -1});
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto qkv = context->get_saved_variables();
    const auto grad_thd = grads[0].contiguous().view(qkv[0].sizes());
    const Gradients out{at::empty_like(qkv[0]), at::empty_like(qkv[1]), at::empty_like(qkv[2])};
    for (const auto& run : runs_of(context->saved_data["lengths"].toIntVector()))
      backward_run(run, qkv, grad_thd, context->saved_data["causal"].toBool(), out);
    return {out.q, out.k, out.v, at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor block_attention_over(const at::Tensor& q_thd, const at::Tensor& k_htd, const at::Tensor& v_htd) {
  const Run run{0, 1, q_thd.size(0)};
  const auto q = q_thd.contiguous(), y = at::empty_like(q);
  const auto from = cut(q, run, k_htd.size(0)), to = cut(y, run, k_htd.size(0));
  for (const auto& block : blocks_of(run.length, true, k_htd.size(1) - run.length)) {
    const auto p = probabilities(queries(from, block), seen_by(block, k_htd), block, true, scale_of(q));
    put(at::bmm(p, seen_by(block, v_htd)), to, block);
  }
  return y.view({q.size(0), -1});
}

bool fits_block_attention(const at::Tensor& q_thd) { return kernels::fits(q_thd); }

at::Tensor block_attention(const at::Tensor& q_thd, const at::Tensor& k_thd, const at::Tensor& v_thd,
                           const std::vector<int64_t>& lengths, bool causal) {
  return BlockAttention::apply(q_thd, k_thd, v_thd, lengths, causal);
}

}  // namespace antiphon::nn
