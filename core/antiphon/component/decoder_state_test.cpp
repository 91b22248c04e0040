// Rows that grow, shrink, share and end, against a plain list of tokens for each.
#include <ATen/ATen.h>

#include <antiphon/base/error.h>
#include <antiphon/component/decoder_state.h>

#include <catch2/catch_test_macros.hpp>

#include <unistd.h>

#include <fstream>
#include <map>
#include <random>

using namespace antiphon;

namespace {

constexpr int64_t kBlock = 4;
constexpr KvShape kShape{1, 2, 3};

// Puts a token that is known by one number at the end of a row.
void write(DecoderState& cache, int64_t row, double token) {
  cache.reserve(row, 1);
  const int64_t slot = cache.slot(row, cache.length(row));
  cache.keys(0)[slot / kBlock].select(1, slot % kBlock).fill_(token);
  cache.values(0)[slot / kBlock].select(1, slot % kBlock).fill_(-token);
  cache.advance(row, 1);
}

std::vector<double> tokens_of(const DecoderState& cache, int64_t row) {
  const auto keys = cache.gathered(cache.keys(0), row, cache.length(row)),
             values = cache.gathered(cache.values(0), row, cache.length(row));
  CHECK(keys.sizes() == at::IntArrayRef({kShape.kv_heads, cache.length(row), kShape.head_size}));
  CHECK(at::equal(values, -keys));
  std::vector<double> tokens;
  for (int64_t i = 0; i < cache.length(row); ++i) {
    const auto token = keys.select(1, i);
    CHECK((token == token[0][0]).all().item<bool>());
    tokens.push_back(token[0][0].item<double>());
  }
  return tokens;
}

}  // namespace

TEST_CASE("the next position of a row is its length, or goes on from where it was set") {
  DecoderState cache(kShape, 4, at::kFloat, kBlock);
  const auto row = cache.add_row();
  write(cache, row, 1), write(cache, row, 2);
  CHECK(cache.next_position(row) == 2);
  cache.set_next_position(row, 9);
  write(cache, row, 3);
  CHECK(cache.next_position(row) == 10);
  const auto copy = cache.fork(row);
  write(cache, copy, 4);
  CHECK(cache.next_position(copy) == 11);
  CHECK(cache.next_position(row) == 10);
  cache.drop_row(row);
  CHECK(cache.next_position(cache.add_row()) == 0);
}

TEST_CASE("rows of a KV cache that grow, shrink, fork and end hold what was written into each") {
  std::mt19937_64 random(7);
  DecoderState cache(kShape, 12, at::kFloat, kBlock);
  std::map<int64_t, std::vector<double>> rows;
  double token = 0;
  for (int round = 0; round < 600; ++round) {
    const auto any = [&] { return std::next(rows.begin(), static_cast<long>(random() % rows.size())); };
    const auto what = random() % 10;
    if (rows.empty() || (what == 0 && rows.size() < 5)) {
      rows[cache.add_row()] = {};
    } else if (what == 1 && rows.size() < 5) {
      const auto from = any()->first;
      rows[cache.fork(from)] = rows.at(from);
    } else if (what == 2) {
      const auto row = any();
      cache.drop_row(row->first);
      rows.erase(row);
    } else if (what == 3) {
      const auto row = any();
      row->second.resize(random() % (row->second.size() + 1));
      cache.truncate(row->first, static_cast<int64_t>(row->second.size()));
    } else {
      const auto row = any();
      if (cache.free_blocks() < 2) continue;
      write(cache, row->first, ++token);
      row->second.push_back(token);
    }
    for (const auto& [row, tokens] : rows) REQUIRE(tokens_of(cache, row) == tokens);
  }
  for (const auto& [row, tokens] : rows) cache.drop_row(row);
  CHECK(cache.free_blocks() == 12);  // none is lost
}

TEST_CASE("rows that share a beginning share its blocks") {
  DecoderState cache(kShape, 8, at::kFloat, kBlock);
  const int64_t first = cache.add_row();
  for (int i = 1; i <= 10; ++i) write(cache, first, i);
  const int64_t second = cache.fork(first);
  CHECK(cache.free_blocks() == 5);
  write(cache, second, 11);  // the block of which both hold two tokens
  CHECK(cache.free_blocks() == 4);
  CHECK(cache.blocks(first)[1] == cache.blocks(second)[1]);
  CHECK(cache.blocks(first)[2] != cache.blocks(second)[2]);
  write(cache, first, 12);
  CHECK(tokens_of(cache, first).back() == 12);
  CHECK(tokens_of(cache, second).back() == 11);
}

TEST_CASE("what a large state on the CPU never held takes no memory, and is zero") {
  const auto megabytes = [] {
    int64_t all = 0, resident = 0;
    std::ifstream("/proc/self/statm") >> all >> resident;
    return resident * ::sysconf(_SC_PAGESIZE) / (1 << 20);
  };
  const auto before = megabytes();
  DecoderState cache({1, 8, 128}, 16000, at::kFloat, kBlock);  // 250 MB each
  write(cache, cache.add_row(), 7);
  CHECK(megabytes() - before < 100);
  CHECK(cache.keys(0)[0].sum().item<double>() == 7 * 8 * 128);
  for (const int64_t block : {1, 9, 15999}) CHECK(cache.values(0)[block].count_nonzero().item<int64_t>() == 0);
}

TEST_CASE("a row that does not fit takes nothing") {
  DecoderState cache(kShape, 3, at::kFloat, kBlock);
  const int64_t row = cache.add_row(), other = cache.add_row();
  cache.reserve(row, 5);
  cache.advance(row, 5);
  CHECK_THROWS_AS(cache.reserve(other, 5), Error);
  CHECK(cache.free_blocks() == 1);
  cache.fork(row);
  cache.reserve(other, 1);
  CHECK_THROWS_AS(cache.reserve(row, 1), Error);  // its last block is shared, and there is none for a copy
}

TEST_CASE("rows that begin with something share the blocks that it fills, and keep it when they are cut") {
  DecoderState cache(kShape, 6, at::kFloat, kBlock);
  const auto tokens = at::arange(1, 7, at::kFloat).view({1, 1, 6, 1, 1});  // one block and a half
  cache.begin_rows_with(at::cat({tokens, -tokens}, 1).expand({1, 2, 6, kShape.kv_heads, kShape.head_size}));
  CHECK(cache.prefix() == 6);
  CHECK(cache.free_blocks() == 4);
  const std::vector<double> begin{1, 2, 3, 4, 5, 6};
  const auto a = cache.add_row(), b = cache.add_row();
  CHECK(tokens_of(cache, a) == begin);
  write(cache, a, 10), write(cache, b, 20), write(cache, b, 21), write(cache, b, 22);
  CHECK(cache.free_blocks() == 1);  // each has the half block for itself, and b one more
  CHECK(tokens_of(cache, a) == std::vector<double>{1, 2, 3, 4, 5, 6, 10});
  CHECK(tokens_of(cache, b) == std::vector<double>{1, 2, 3, 4, 5, 6, 20, 21, 22});
  cache.truncate(b, cache.prefix());
  CHECK(tokens_of(cache, b) == begin);
  cache.drop_row(a), cache.drop_row(b);
  CHECK(cache.free_blocks() == 4);
  CHECK(tokens_of(cache, cache.add_row()) == begin);
  CHECK_THROWS_AS(cache.begin_rows_with(at::zeros({1, 2, 1, kShape.kv_heads, kShape.head_size})), Error);
}

namespace {

// A layer of one number for each text, which adds up what it reads, beside one with keys and values of its own and one
// that shares these.
const StateShape kMixed{{2, 3}, {.recurrent = {{1}}}, {.shares = 0}};

void read(DecoderState& state, int64_t row, double token) {
  state.reserve(row, 1);
  state.set_recurrent(1, 0, row, state.recurrent(1, 0, row) + token);
  state.advance(row, 1);
}

double sum_of(const DecoderState& state, int64_t row) { return state.recurrent(1, 0, row).item<double>(); }

}  // namespace

TEST_CASE("layers keep what each of them needs, and share what they say") {
  DecoderState state(kMixed, 4, at::kFloat, kBlock);
  CHECK(state.keys(0).sizes() == at::IntArrayRef({4, 2, kBlock, 3}));
  CHECK_FALSE(state.keys(1).defined());
  CHECK(state.keys(2).is_same(state.keys(0)));
  CHECK(state.has_recurrent());
  CHECK(kv_shape(kMixed).layers == 0);
  CHECK(kv_shape(state_shape(KvShape{3, 2, 5})).layers == 3);
  CHECK(kv_shape({{2, 5}, {1, 5}}).layers == 0);
  CHECK_THROWS_AS(DecoderState({{.shares = 0}}, 4, at::kFloat), Error);
  CHECK_THROWS_AS(DecoderState({{}, {.shares = 0}}, 4, at::kFloat), Error);
  CHECK_THROWS_AS(state.begin_rows_with(at::zeros({3, 2, 1, 2, 3})), Error);
}

TEST_CASE("a text's tensors are what they were in copies, at kept places and at the begin, and nowhere else") {
  DecoderState state(kMixed, 16, at::kFloat, kBlock);
  const auto row = state.add_row();
  read(state, row, 1), read(state, row, 2);
  state.keep_place(row);
  const auto copy = state.fork(row);
  read(state, row, 10), read(state, copy, 20);
  CHECK(sum_of(state, row) == 13);
  CHECK(sum_of(state, copy) == 23);
  CHECK(state.reachable(row, 5) == 3);
  CHECK(state.reachable(row, 2) == 2);
  CHECK(state.reachable(row, 1) == 0);
  read(state, row, 10);
  CHECK(state.reachable(row, 3) == 2);
  CHECK_THROWS_AS(state.truncate(row, 3), Error);
  state.truncate(row, 2);
  CHECK(sum_of(state, row) == 3);
  read(state, row, 5);
  CHECK(sum_of(state, row) == 8);
  state.truncate(row, 0);
  CHECK(sum_of(state, row) == 0);
  CHECK(state.reachable(row, 2) == 0);
  CHECK(sum_of(state, copy) == 23);
  // What was not advanced over counts for nothing.
  state.set_recurrent(1, 0, copy, state.recurrent(1, 0, copy) + 100);
  state.truncate(copy, state.length(copy));
  read(state, copy, 1);
  CHECK(sum_of(state, copy) == 24);
  state.drop_row(copy);
  CHECK(sum_of(state, state.add_row()) == 0);
}

TEST_CASE("the last places that are kept hold") {
  DecoderState state(kMixed, 16, at::kFloat, kBlock);
  const auto row = state.add_row();
  constexpr int64_t most = DecoderState::kKeptPlaces;
  for (int64_t i = 1; i <= most + 2; ++i) read(state, row, 1), state.keep_place(row), state.keep_place(row);
  CHECK(state.reachable(row, 3) == 3);
  CHECK(state.reachable(row, 2) == 0);
  state.truncate(row, 4);
  CHECK(sum_of(state, row) == 4);
  CHECK(state.reachable(row, 3) == 3);
}
