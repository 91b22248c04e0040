#include <antiphon/nn/attention/float_attention.h>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <antiphon/base/trace.h>
#include <antiphon/kernels/for_rows.h>
#include <antiphon/kernels/matmul.h>
#include <antiphon/kernels/mm.h>

#include <algorithm>
#include <atomic>
#include <cmath>

namespace antiphon::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kQueries = 64;  // at once; their scores for a few thousand keys stay in L2

// Queries and keys from token `begin` on: `length` queries, and as many keys after `past` ones that stand before them.
struct Segment {
  int64_t begin, length, past;
};

struct Problem {
  std::vector<Segment> segments;  // the longest first, so that no thread finishes late
  int64_t heads, groups, head_size;
  bool causal;
  int64_t most_keys = 0;

  float scale() const { return static_cast<float>(1 / std::sqrt(static_cast<double>(head_size))); }
};

Problem problem_of(const at::Tensor& q_thd, int64_t groups, std::vector<Segment> segments, bool causal) {
  Problem problem{std::move(segments), q_thd.size(1), groups, q_thd.size(2), causal};
  std::stable_sort(problem.segments.begin(), problem.segments.end(),
                   [](const Segment& a, const Segment& b) { return a.length > b.length; });
  for (const auto& segment : problem.segments)
    problem.most_keys = std::max(problem.most_keys, segment.past + segment.length);
  return problem;
}

std::vector<Segment> segments_of(const std::vector<int64_t>& lengths) {
  std::vector<Segment> segments;
  int64_t begin = 0;
  for (const auto length : lengths) {
    if (length > 0) segments.push_back({begin, length, 0});
    begin += length;
  }
  return segments;
}

// [rows, columns] in memory; `transposed()` is the same data read the other way.
struct View {
  float* at;
  int64_t row, column = 1;
  View transposed() const { return {at, column, row}; }
};

// Rows from `begin` on of one head of x [tokens, heads, head_size].
View rows_of(const at::Tensor& x_thd, int64_t begin, int64_t head) {
  return {x_thd.data_ptr<float>() + begin * x_thd.stride(0) + head * x_thd.stride(1), x_thd.stride(0)};
}

// c [m, n] = a [m, k] times b [k, n], plus what c holds.
void multiply(int64_t m, int64_t n, int64_t k, View a, View b, View c, bool adds = false) {
  kernels::MatrixProduct p;
  p.m = m, p.n = n, p.k = k;
  p.a = a.at, p.a_row = a.row, p.a_column = a.column;
  p.b = b.at, p.b_row = b.row, p.b_column = b.column;
  p.c = c.at, p.c_row = c.row;
  if (adds) p.base = c.at, p.base_row = c.row;
  kernels::matmul_kernel().run(p, kernels::scratch_of_thread());
}

// Some queries of a head of a sequence and the keys that they see. Causal: query i sees `visible_before` + i + 1 keys.
struct QueryBlock {
  const Segment& segment;
  int64_t head, group, query, queries, keys, visible_before;

  int64_t token() const { return segment.begin + query; }
};

// Calls body(block) for all blocks of one head of one sequence, in their order.
template <class Body>
void for_queries(const Problem& problem, const Segment& segment, int64_t head, const Body& body) {
  const int64_t group = head / (problem.heads / problem.groups);
  for (int64_t first = 0; first < segment.length; first += kQueries) {
    const int64_t queries = std::min(kQueries, segment.length - first);
    const int64_t keys = segment.past + (problem.causal ? first + queries : segment.length);
    body(QueryBlock{segment, head, group, first, queries, keys, problem.causal ? keys - queries : keys});
  }
}

// Calls body(block, floats, floats) for all blocks, those of one head of one sequence by one thread; the floats have
// room for the block's scores.
template <class Body>
void for_blocks(const Problem& problem, const Body& body) {
  const auto count = static_cast<int64_t>(problem.segments.size()) * problem.heads;
  std::atomic<int64_t> next{0};
  const auto work = [&](int64_t, int64_t) {
    const int64_t room = kQueries * problem.most_keys;
    const auto scratch = at::empty({2 * room}, at::kFloat);
    auto* scores = scratch.data_ptr<float>();
    for (int64_t unit = next++; unit < count; unit = next++)
      for_queries(problem, problem.segments[static_cast<size_t>(unit / problem.heads)], unit % problem.heads,
                  [&](const QueryBlock& block) { body(block, scores, scores + room); });
  };
  const int64_t threads = std::min<int64_t>(count, at::get_num_threads());
  kernels::share_rows(threads, 1 << 20, work);
}

View keys_of(const at::Tensor& k_thd, const QueryBlock& block) {
  return rows_of(k_thd, block.segment.begin, block.group);
}

View probabilities(const Problem& problem, const QueryBlock& block, const at::Tensor& q, const at::Tensor& k,
                   float* scores) {
  const View p{scores, block.keys};
  multiply(block.queries, block.keys, problem.head_size, rows_of(q, block.token(), block.head),
           keys_of(k, block).transposed(), p);
  kernels::row_kernels<float>().causal_softmax(scores, 0, block.queries, block.keys, block.queries,
                                               block.visible_before, problem.scale());
  return p;
}

// `products` of each block, as computed: half of what a causal mask hides is skipped.
void count_flops(const Problem& problem, int products) {
  double scores = 0;
  for (const auto& segment : problem.segments)
    for_queries(problem, segment, 0,
                [&](const QueryBlock& block) { scores += static_cast<double>(block.queries * block.keys); });
  trace::add_flops(2.0 * products * scores * static_cast<double>(problem.heads * problem.head_size));
}

at::Tensor attend(const Problem& problem, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  const auto y = at::empty_like(q);
  count_flops(problem, 2);
  for_blocks(problem, [&](const QueryBlock& block, float* scores, float*) {
    const auto p = probabilities(problem, block, q, k, scores);
    multiply(block.queries, problem.head_size, block.keys, p, keys_of(v, block), rows_of(y, block.token(), block.head));
  });
  return y.view({y.size(0), -1});
}

struct FloatAttention : torch::autograd::Function<FloatAttention> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& q_in, const at::Tensor& k_in,
                            const at::Tensor& v_in, const std::vector<int64_t>& lengths, bool causal) {
    const auto q = q_in.contiguous(), k = k_in.contiguous(), v = v_in.contiguous();
    context->save_for_backward({q, k, v});
    context->saved_data["lengths"] = lengths, context->saved_data["causal"] = causal;
    return attend(problem_of(q, k.size(1), segments_of(lengths), causal), q, k, v);
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto saved = context->get_saved_variables();
    const auto &q = saved[0], &k = saved[1], &v = saved[2];
    const auto grad = grads[0].contiguous().view(q.sizes());
    const auto problem = problem_of(q, k.size(1), segments_of(context->saved_data["lengths"].toIntVector()),
                                    context->saved_data["causal"].toBool());
    // Key and value gradients per query head, so that no two threads add to the same one.
    const auto grad_q = at::empty_like(q), grad_k = at::zeros_like(q), grad_v = at::zeros_like(q);
    const int64_t d = problem.head_size;
    count_flops(problem, 5);
    for_blocks(problem, [&](const QueryBlock& block, float* scores, float* grad_scores) {
      const int64_t n = block.queries, keys = block.keys, begin = block.segment.begin;
      const auto p = probabilities(problem, block, q, k, scores);
      const View out = rows_of(grad, block.token(), block.head), s{grad_scores, keys};
      multiply(keys, d, n, p.transposed(), out, rows_of(grad_v, begin, block.head), true);
      multiply(n, keys, d, out, keys_of(v, block).transposed(), s);
      kernels::row_kernels<float>().causal_softmax_backward(scores, grad_scores, 0, n, keys, n, block.visible_before,
                                                            problem.scale());
      multiply(n, d, keys, s, keys_of(k, block), rows_of(grad_q, block.token(), block.head));
      multiply(keys, d, n, s.transposed(), rows_of(q, block.token(), block.head), rows_of(grad_k, begin, block.head),
               true);
    });
    const auto of_groups = [&](const at::Tensor& x) {
      return problem.heads == problem.groups ? x : x.view({x.size(0), problem.groups, -1, d}).sum(2);
    };
    return {grad_q, of_groups(grad_k), of_groups(grad_v), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

bool fits_float_attention(const at::Tensor& q_thd) {
  return q_thd.device().is_cpu() && q_thd.scalar_type() == at::kFloat && q_thd.size(2) > 0;
}

at::Tensor float_attention(const at::Tensor& q_thd, const at::Tensor& k_thd, const at::Tensor& v_thd,
                           const std::vector<int64_t>& lengths, bool causal) {
  return FloatAttention::apply(q_thd, k_thd, v_thd, lengths, causal);
}

at::Tensor float_attention_over(const at::Tensor& q_thd, const at::Tensor& k_htd, const at::Tensor& v_htd) {
  const auto q = q_thd.contiguous();
  const int64_t n = q.size(0);
  return attend(problem_of(q, k_htd.size(0), {{0, n, k_htd.size(1) - n}}, true), q, k_htd.transpose(0, 1),
                v_htd.transpose(0, 1));
}

}  // namespace antiphon::nn
