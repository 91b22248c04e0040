// Packed and cached attention against a loop over tokens in double precision.
#include <antiphon/base/error.h>
#include <antiphon/nn/attention/attention.h>
#include <antiphon/nn/attention/block_attention.h>
#include <antiphon/nn/attention/cached_attention.h>
#include <antiphon/nn/attention/float_attention.h>
#include <antiphon/nn/attention/short_attention.h>
#include <antiphon/nn/blocks/decoder.h>
#include <antiphon/nn/testing.h>

#include <numeric>

#include <catch2/generators/catch_generators.hpp>

using namespace antiphon;
using namespace antiphon::nn;

namespace {

struct Heads {
  at::Tensor q, k, v;
};

Heads random_heads(int64_t tokens, uint64_t seed) {
  return {random({tokens, 4, 8}, seed), random({tokens, 2, 8}, seed + 1), random({tokens, 2, 8}, seed + 2)};
}

// One query [heads, d] over keys and values [n, kv_heads, d], head by head.
at::Tensor attend_one(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  const int64_t heads = q.size(0), group = heads / k.size(1);
  std::vector<at::Tensor> out;
  for (int64_t h = 0; h < heads; ++h) {
    const auto keys = k.select(1, h / group), values = v.select(1, h / group);
    const auto scores = keys.mv(q[h]) / std::sqrt(static_cast<double>(q.size(1)));
    out.push_back(at::softmax(scores, 0).matmul(values));
  }
  return at::cat(out);
}

at::Tensor naive(const Heads& in, const std::vector<int64_t>& lengths, bool causal) {
  const auto q = in.q.to(at::kDouble), k = in.k.to(at::kDouble), v = in.v.to(at::kDouble);
  std::vector<at::Tensor> rows;
  int64_t begin = 0;
  for (const auto length : lengths) {
    for (int64_t i = 0; i < length; ++i) {
      const int64_t seen = causal ? i + 1 : length;
      rows.push_back(attend_one(q[begin + i], k.narrow(0, begin, seen), v.narrow(0, begin, seen)));
    }
    begin += length;
  }
  return at::stack(rows);
}

}  // namespace

TEST_CASE("packed attention stays within each sequence") {
  const std::vector<std::vector<int64_t>> cases{{7}, {1}, {1, 1, 1}, {3, 3, 5, 1, 5, 5}, {2, 9}, {4, 4, 4}};
  for (const auto& lengths : cases) {
    const auto in = random_heads(std::accumulate(lengths.begin(), lengths.end(), int64_t{0}), 1);
    for (const bool causal : {true, false})
      CHECK(relative_error(packed_attention(in.q, in.k, in.v, lengths, causal), naive(in, lengths, causal)) < 1e-5);
  }
}

TEST_CASE("short sequences: values and gradients are those of the sequences one by one, in buckets of several sizes") {
  const std::vector<int64_t> lengths{5, 33, 32, 1, 70, 200, 33};
  const auto in = random_heads(std::accumulate(lengths.begin(), lengths.end(), int64_t{0}), 7);
  const auto weights = random({in.q.size(0), 32}, 11);
  auto gradients = [&](auto dtype, auto attention) {
    std::vector<at::Tensor> inputs{in.q.to(dtype).detach().set_requires_grad(true),
                                   in.k.to(dtype).detach().set_requires_grad(true),
                                   in.v.to(dtype).detach().set_requires_grad(true)};
    (attention(Heads{inputs[0], inputs[1], inputs[2]}) * weights).sum().backward();
    return std::vector<at::Tensor>{inputs[0].grad(), inputs[1].grad(), inputs[2].grad()};
  };
  REQUIRE(fits_short_attention(in.q, lengths));
  const auto got = gradients(at::kFloat, [&](const Heads& h) { return short_attention(h.q, h.k, h.v, lengths); });
  const auto expected = gradients(at::kDouble, [&](const Heads& h) { return naive(h, lengths, true); });
  for (size_t i = 0; i < 3; ++i) CHECK(relative_error(got[i], expected[i]) < 1e-5);
}

TEST_CASE("blocks of queries: values and gradients, causal and not, one length and several") {
  const auto attention = GENERATE(block_attention, float_attention);
  const auto lengths = GENERATE(std::vector<int64_t>{300, 4}, std::vector<int64_t>{130, 130, 0, 7, 128},
                                std::vector<int64_t>{257}, std::vector<int64_t>{1, 65});
  const bool causal = GENERATE(true, false);
  const auto in = random_heads(std::accumulate(lengths.begin(), lengths.end(), int64_t{0}), 3);
  const auto weights = random({in.q.size(0), 32}, 11);
  auto run = [&](auto dtype, auto function) {
    std::vector<at::Tensor> x;
    for (const auto& part : {in.q, in.k, in.v}) x.push_back(part.to(dtype).detach().set_requires_grad(true));
    const auto y = function(Heads{x[0], x[1], x[2]});
    (y * weights).sum().backward();
    return std::vector<at::Tensor>{y.detach(), x[0].grad(), x[1].grad(), x[2].grad()};
  };
  CHECK((!causal || lengths[0] <= 256 || !fits_short_attention(in.q, lengths)));
  const auto got = run(at::kFloat, [&](const Heads& h) { return attention(h.q, h.k, h.v, lengths, causal); });
  const auto expected = run(at::kDouble, [&](const Heads& h) { return naive(h, lengths, causal); });
  for (size_t i = 0; i < got.size(); ++i) CHECK(relative_error(got[i], expected[i]) < 1e-5);
}

TEST_CASE("blocks of queries after what a cache holds") {
  const auto attention = GENERATE(block_attention_over, float_attention_over);
  const auto in = random_heads(310, 5);
  const auto expected = naive(in, {310}, true);
  for (const int64_t past : {0, 1, 170, 309}) {
    const int64_t n = 310 - past;
    const auto y = attention(in.q.narrow(0, past, n), in.k.transpose(0, 1), in.v.transpose(0, 1));
    CHECK(relative_error(y, expected.narrow(0, past, n)) < 1e-5);
  }
}

TEST_CASE("cached attention with rows of mixed lengths is attention over all that a row has seen") {
  // Rows grow by prefills of several lengths, by single tokens, and by some rows only.
  struct Round {
    std::vector<int64_t> rows, lengths;
  };
  const std::vector<Round> rounds{{{0, 1, 2}, {3, 1, 6}}, {{0, 1, 2}, {1, 1, 1}}, {{2, 0}, {1, 1}}, {{1}, {4}},
                                  {{0, 1, 2}, {1, 1, 1}}, {{1, 2}, {2, 1}},       {{2}, {1}}};
  auto cache = small_cache({2, 2, 8}, 3, 16);
  std::vector<Heads> seen(3);
  uint64_t seed = 10;
  for (const auto& round : rounds) {
    DecoderInput input;
    input.lengths = round.lengths, input.rows = round.rows, input.cache = &cache;
    const auto in = random_heads(std::accumulate(round.lengths.begin(), round.lengths.end(), int64_t{0}), seed += 10);
    std::vector<at::Tensor> expected;
    int64_t begin = 0;
    for (size_t i = 0; i < round.rows.size(); ++i) {
      auto& row = seen[static_cast<size_t>(round.rows[i])];
      const int64_t n = round.lengths[i];
      const auto extend = [&](at::Tensor& all, const at::Tensor& more) {
        all = all.defined() ? at::cat({all, more.narrow(0, begin, n)}) : more.narrow(0, begin, n);
      };
      extend(row.q, in.q), extend(row.k, in.k), extend(row.v, in.v);
      expected.push_back(naive(row, {row.q.size(0)}, true).narrow(0, row.q.size(0) - n, n));
      begin += n;
    }
    place_tokens(input);
    for (const size_t layer : {size_t{0}, size_t{1}})
      for (const bool gradients : {true, false}) {  // without them by the kernel, if each row has one new token
        const at::AutoGradMode mode(gradients);
        CHECK(relative_error(cached_attention(in.q, in.k, in.v, input, layer), at::cat(expected)) < 1e-5);
      }
    advance_rows(input);
  }
}

TEST_CASE("a full cache is an error, not an overrun") {
  auto cache = small_cache({1, 2, 8}, 1, 4);
  DecoderInput input;
  input.lengths = {5}, input.rows = {0}, input.cache = &cache;
  CHECK_THROWS_AS(place_tokens(input), Error);
  CHECK(cache.free_blocks() == 1);
}

TEST_CASE("a decoder with a cache, in pieces, gives what it gives at once; packing changes nothing") {
  DecoderOptions options;
  options.vocab_size = 20, options.hidden_size = 32, options.intermediate_size = 48, options.num_layers = 2;
  options.num_heads = 4, options.num_kv_heads = 2, options.head_size = 8, options.max_positions = 64;
  Decoder decoder(options);
  decoder.set_requires_grad(false);
  decoder.initialize(5, at::kCPU);
  const auto ids = at::arange(18, at::kLong) % 20;
  const auto run = [&](int64_t begin, const std::vector<int64_t>& lengths, const std::vector<int64_t>& first,
                       DecoderState* cache, std::vector<int64_t> rows) {
    DecoderInput input;
    std::vector<int64_t> positions;
    for (size_t i = 0; i < lengths.size(); ++i)
      for (int64_t j = 0; j < lengths[i]; ++j) positions.push_back(first[i] + j);
    input.x_td = decoder.embed(ids.narrow(0, begin, static_cast<int64_t>(positions.size())));
    input.positions_at = at::tensor(positions, at::kLong).unsqueeze(0);
    input.lengths = lengths, input.cache = cache, input.rows = std::move(rows);
    return decoder.forward(input);
  };
  const auto packed = run(0, {7, 11}, {0, 0}, nullptr, {});
  CHECK(relative_error(run(0, {7}, {0}, nullptr, {}), packed.narrow(0, 0, 7)) < 1e-5);
  CHECK(relative_error(run(7, {11}, {0}, nullptr, {}), packed.narrow(0, 7, 11)) < 1e-5);
  auto cache = small_cache(decoder.kv_shape(), 2, 12);
  std::vector<at::Tensor> pieces{run(7, {6}, {0}, &cache, {1})};
  for (int64_t i = 6; i < 9; ++i) pieces.push_back(run(7 + i, {1}, {i}, &cache, {1}));
  pieces.push_back(run(16, {2}, {9}, &cache, {1}));
  CHECK(cache.length(0) == 0);
  CHECK(cache.length(1) == 11);
  CHECK(relative_error(at::cat(pieces), packed.narrow(0, 7, 11)) < 1e-5);
}
