// Learned keys and values before every sequence, against each sequence alone over all keys that it sees.
#include <antiphon/nn/attention/attention.h>
#include <antiphon/nn/attention/prefix.h>
#include <antiphon/nn/blocks/decoder.h>
#include <antiphon/nn/blocks/recompute.h>
#include <antiphon/nn/testing.h>

using namespace antiphon;
using namespace antiphon::nn;

namespace {

constexpr int64_t kTokens = 5;
const std::vector<int64_t> kLengths{3, 1, 40, 7};
constexpr int64_t kAll = 51;

// q [n, heads, d] over k and v [kTokens + n, kv_heads, d] of one sequence.
at::Tensor alone(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, int64_t window) {
  const auto heads = [&](const at::Tensor& x) { return x.transpose(0, 1).repeat_interleave(q.size(1) / x.size(1), 0); };
  const auto scores = heads(q).bmm(heads(k).transpose(1, 2)) / std::sqrt(static_cast<double>(q.size(2)));
  const auto mask = causal_mask(q.size(0), k.size(0), window, at::kCPU);
  const auto p = scores.masked_fill(mask.logical_not(), -INFINITY).softmax(-1);
  return p.bmm(heads(v)).transpose(0, 1).flatten(1);
}

at::Tensor by_sequence(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& kv,
                       int64_t window) {
  std::vector<at::Tensor> all;
  int64_t begin = 0;
  for (const auto n : kLengths) {
    const auto of = [&](const at::Tensor& x) { return x.narrow(0, begin, n); };
    all.push_back(alone(of(q), at::cat({kv[0], of(k)}), at::cat({kv[1], of(v)}), window));
    begin += n;
  }
  return at::cat(all);
}

}  // namespace

TEST_CASE("a prefix: values and gradients are those of each sequence behind it, with and without a window") {
  for (const int64_t window : {0, 4}) {
    const auto leaves = [&] {
      std::vector<at::Tensor> x{random({kAll, 4, 8}, 1), random({kAll, 2, 8}, 2), random({kAll, 2, 8}, 3),
                                random({1, 2, kTokens, 2, 8}, 4)};
      for (auto& each : x) each.set_requires_grad(true);
      return x;
    };
    auto a = leaves(), b = leaves();
    const auto weights = random({kAll, 32}, 5);
    const auto expected = by_sequence(a[0], a[1], a[2], a[3][0], window);
    const Prefix prefix(b[3]);
    const auto k = prefix.begun(b[1], 0, 1);
    const auto got = prefix.attention(b[0], k, b[2], kLengths, 0, {.window = window}, {});
    CHECK(relative_error(got, expected) < 1e-5);
    (expected * weights).sum().backward(), (got * weights).sum().backward();
    for (size_t i = 0; i < a.size(); ++i) CHECK(relative_error(b[i].grad(), a[i].grad()) < 1e-5);
    const at::NoGradGuard guard;
    CHECK(relative_error(Prefix(b[3]).attention(b[0], b[1], b[2], kLengths, 0, {.window = window}, {}), expected) <
          1e-5);
  }
}

namespace {

DecoderOptions small() {
  DecoderOptions o;
  o.vocab_size = 30, o.hidden_size = 16, o.intermediate_size = 24, o.num_layers = 3, o.num_heads = 4;
  o.num_kv_heads = 2, o.head_size = 4, o.max_positions = 64;
  return o;
}

struct Trained {
  at::Tensor y, grad, grad_of_network;
};

// The decoder is frozen; a network makes what stands before every sequence.
Trained trained(BlockPolicy* policy) {
  Decoder decoder(small());
  decoder.initialize(7, at::kCPU);
  decoder.set_requires_grad(false);
  const auto leaf = random({kTokens, 6}, 1).set_requires_grad(true),
             network = random({6, 3 * 2 * 2 * 4}, 2).set_requires_grad(true);
  const auto kv = leaf.mm(network).tanh().view({kTokens, 3, 2, 2, 4}).permute({1, 2, 0, 3, 4});
  const auto prefix = std::make_shared<Prefix>(kv);
  DecoderInput input;
  input.x_td = decoder.embed(at::arange(11, at::kLong));
  input.positions_at = (at::cat({at::arange(4, at::kLong), at::arange(7, at::kLong)}) + kTokens).unsqueeze(0);
  input.lengths = {4, 7}, input.prefix = prefix;
  const BlockPolicyScope scope(policy);
  const auto y = decoder.forward(input);
  y.square().mul(random({11, 16}, 3)).sum().backward();
  return {y.detach(), leaf.grad(), network.grad()};
}

}  // namespace

TEST_CASE("blocks that are computed again give a prefix the same gradient to the bit") {
  const auto once = trained(nullptr);
  for (const int64_t blocks : {1, 3}) {
    Recompute policy(blocks);
    const auto again = trained(&policy);
    CHECK(at::equal(again.y, once.y));
    CHECK(at::equal(again.grad, once.grad));
    CHECK(at::equal(again.grad_of_network, once.grad_of_network));
    CHECK(once.grad.abs().max().item<float>() > 0);
  }
}

TEST_CASE("a cache whose rows begin with a prefix gives what sequences behind it give at once") {
  Decoder decoder(small());
  decoder.initialize(7, at::kCPU);
  decoder.set_requires_grad(false);
  const at::NoGradGuard guard;
  const auto kv = random({3, 2, kTokens, 2, 4}, 5);
  const auto prefix = std::make_shared<Prefix>(kv);
  const auto x = decoder.embed(at::arange(11, at::kLong));
  DecoderInput whole;
  whole.x_td = x,
  whole.positions_at = (at::cat({at::arange(4, at::kLong), at::arange(7, at::kLong)}) + kTokens).unsqueeze(0);
  whole.lengths = {4, 7}, whole.prefix = prefix;
  const auto expected = decoder.forward(whole);
  DecoderState cache(decoder.kv_shape(), 16, at::kFloat, 4);
  cache.begin_rows_with(kv);
  const std::vector<int64_t> rows{cache.add_row(), cache.add_row()};
  std::vector<at::Tensor> got(11);
  // Some tokens of each row at once, then one by one.
  const auto read = [&](int64_t of, int64_t begin, int64_t n) {
    DecoderInput input;
    const int64_t at_token = (of == 0 ? 0 : 4) + begin;
    input.x_td = x.narrow(0, at_token, n),
    input.positions_at = (at::arange(begin, begin + n, at::kLong) + kTokens).unsqueeze(0);
    input.lengths = {n}, input.cache = &cache, input.rows = {rows[static_cast<size_t>(of)]};
    const auto y = decoder.forward(input);
    for (int64_t i = 0; i < n; ++i) got[static_cast<size_t>(at_token + i)] = y[i];
  };
  read(0, 0, 3), read(1, 0, 1), read(0, 3, 1);
  for (int64_t i = 1; i < 7; ++i) read(1, i, 1);
  CHECK(relative_error(at::stack(got), expected) < 1e-5);
}
