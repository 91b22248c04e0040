// Attention within spans, with windows and with capped scores, against the definition in double precision.
#include <antiphon/base/error.h>
#include <antiphon/nn/attention/cached_attention.h>
#include <antiphon/nn/attention/prefix.h>
#include <antiphon/nn/attention/spans.h>
#include <antiphon/nn/testing.h>

#include <catch2/generators/catch_generators.hpp>

using namespace antiphon;
using namespace antiphon::nn;

namespace {

using Tensors = std::vector<at::Tensor>;  // queries, keys, values

const std::vector<int64_t> kSequences{9, 1, 14};
const std::vector<TokenSpan> kPictures{{1, 4}, {10, 2}, {13, 6}, {22, 2}};  // the last one ends a sequence

Tensors random_qkv(int64_t tokens, uint64_t seed) {
  return {random({tokens, 4, 8}, seed), random({tokens, 2, 8}, seed + 1), random({tokens, 2, 8}, seed + 2)};
}

bool sees(int64_t i, int64_t j, const Sight& sight, const std::vector<TokenSpan>& spans) {
  bool together = j <= i;
  for (const auto& [begin, tokens] : spans)
    together |= sight.media && i >= begin && j >= begin && i < begin + tokens && j < begin + tokens;
  return together && (sight.window == 0 || j > i - sight.window);
}

at::Tensor by_definition(const Tensors& qkv, const std::vector<int64_t>& lengths, const Sight& sight,
                         const std::vector<TokenSpan>& spans) {
  Tensors rows;
  int64_t begin = 0;
  for (const auto n : lengths) {
    const auto hidden = at::zeros({n, n}, at::kBool);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j) hidden[i][j] = !sees(begin + i, begin + j, sight, spans);
    const auto part = [&](size_t k) { return qkv[k].narrow(0, begin, n).to(at::kDouble).transpose(0, 1); };
    const auto k = part(1).repeat_interleave(2, 0), v = part(2).repeat_interleave(2, 0);
    auto scores = part(0).matmul(k.transpose(1, 2)) / std::sqrt(8.0);
    if (sight.score_cap > 0) scores = (scores / sight.score_cap).tanh() * sight.score_cap;
    const auto p = scores.masked_fill(hidden, -std::numeric_limits<double>::infinity()).softmax(-1);
    rows.push_back(p.matmul(v).transpose(0, 1).reshape({n, -1}));
    begin += n;
  }
  return at::cat(rows);
}

Sight some_sight() {
  return GENERATE(Sight{0, 0, true}, Sight{3, 0, true}, Sight{5, 0, true}, Sight{100, 0, true}, Sight{3, 0, false},
                  Sight{0, 0.5, true}, Sight{3, 0.5, true}, Sight{0, 2, false});
}

}  // namespace

TEST_CASE("spans and caps, packed: values and gradients are those of the definition") {
  const auto sight = some_sight();
  auto ours = random_qkv(24, 1), theirs = ours;
  for (auto* leaves : {&ours, &theirs})
    for (auto& leaf : *leaves) leaf = leaf.clone().set_requires_grad(true);
  const auto got = packed_attention(ours[0], ours[1], ours[2], kSequences, sight, kPictures);
  const auto expected = by_definition(theirs, kSequences, sight, kPictures);
  CHECK(relative_error(got.detach(), expected.detach()) < 1e-5);
  const auto weights = random({24, 32}, 7);
  (got * weights).sum().backward(), (expected * weights).sum().backward();
  for (size_t i = 0; i < 3; ++i) CHECK(relative_error(ours[i].grad(), theirs[i].grad()) < 1e-5);
}

TEST_CASE("spans and caps through the cache, in pieces and token by token, are those of the definition") {
  const auto sight = some_sight();
  const std::vector<TokenSpan> spans{{1, 4}, {7, 3}};
  const auto all = random_qkv(14, 3);
  auto cache = small_cache({1, 2, 8}, 1, 16);
  const at::NoGradGuard guard;
  Tensors out;
  int64_t begin = 0;
  for (const int64_t n : {6, 1, 4, 1, 2}) {
    DecoderInput input;
    input.lengths = {n}, input.rows = {0}, input.cache = &cache;
    for (const auto& [first, tokens] : spans)
      if (first >= begin && first < begin + n) input.media.push_back({first - begin, tokens});
    place_tokens(input);
    const auto piece = [&](size_t k) { return all[k].narrow(0, begin, n); };
    out.push_back(cached_attention(piece(0), piece(1), piece(2), input, 0, sight));
    advance_rows(input), begin += n;
  }
  CHECK(relative_error(at::cat(out), by_definition(all, {14}, sight, spans)) < 1e-5);
}

TEST_CASE("spans behind learned keys and values") {
  const at::NoGradGuard guard;
  const auto kv = random({1, 2, 3, 2, 8}, 11);
  const auto all = random_qkv(10, 12);
  const auto before = [](const at::Tensor& first, const at::Tensor& x) {
    return at::cat({first, x.narrow(0, 0, 4), first, x.narrow(0, 4, 6)});
  };
  const Tensors whole{before(at::zeros({3, 4, 8}), all[0]), before(kv[0][0], all[1]), before(kv[0][1], all[2])};
  for (const Sight& sight : {Sight{0, 0, true}, Sight{4, 0, true}, Sight{4, 0.5, true}}) {
    const auto y = Prefix(kv).attention(all[0], all[1], all[2], {4, 6}, 0, sight, {{1, 3}, {5, 4}});
    const auto expected = by_definition(whole, {7, 9}, sight, {{4, 3}, {11, 4}});
    CHECK(relative_error(y, at::cat({expected.narrow(0, 3, 4), expected.narrow(0, 10, 6)})) < 1e-5);
  }
}

TEST_CASE("a step with capped scores that reads its rows from tensors") {
  for (const int64_t window : {0, 3}) {
    const Sight sight{window, 0.5, true};
    const auto all = random_qkv(7, 5);
    auto cache = small_cache({1, 2, 8}, 1, 8);
    const at::NoGradGuard guard;
    DecoderInput input;
    input.lengths = {6}, input.rows = {0}, input.cache = &cache;
    const auto piece = [&](size_t k, int64_t from, int64_t n) { return all[k].narrow(0, from, n); };
    place_tokens(input);
    cached_attention(piece(0, 0, 6), piece(1, 0, 6), piece(2, 0, 6), input, 0, sight);
    advance_rows(input);
    cache.reserve(0, 1);
    input.lengths = {1}, input.slots_n = at::full({1}, cache.slot(0, 6), at::kLong);
    input.blocks_nb = at::tensor(cache.blocks(0), at::kLong).unsqueeze(0), input.held_n = at::tensor({6}, at::kLong);
    const auto y = cached_attention(piece(0, 6, 1), piece(1, 6, 1), piece(2, 6, 1), input, 0, sight);
    CHECK(relative_error(y, by_definition(all, {7}, sight, {}).narrow(0, 6, 1)) < 1e-5);
  }
}

TEST_CASE("a span that is given in part is an error") {
  const auto all = random_qkv(6, 9);
  CHECK_THROWS_AS(packed_attention(all[0], all[1], all[2], {3, 3}, Sight{0, 0, true}, {{2, 3}}), Error);
}
