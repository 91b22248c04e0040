// Whatever the shape of a mesh: each kind of group divides all processes, is the same for each of its members, and
// holds those that its name says.
#include <antiphon/parallel/mesh.h>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <functional>
#include <numeric>
#include <set>

using antiphon::parallel::Mesh;

namespace {

using Group = std::function<std::vector<int>(int rank)>;

void check(const Mesh& mesh, const Group& group, int size, const std::function<bool(int a, int b)>& belong) {
  std::set<int> seen;
  for (int rank = 0; rank < mesh.size(); ++rank) {
    const auto members = group(rank);
    REQUIRE(static_cast<int>(members.size()) == size);
    REQUIRE(std::ranges::is_sorted(members));
    REQUIRE(std::ranges::count(members, rank) == 1);
    for (const int other : members) {
      REQUIRE(group(other) == members);
      REQUIRE(belong(rank, other));
    }
    seen.insert(members.begin(), members.end());
  }
  REQUIRE(static_cast<int>(seen.size()) == mesh.size());
}

void check_groups(const Mesh& m) {
  CAPTURE(m.stages, m.copies, m.shards, m.experts, m.contexts, m.parts);
  const auto same = [](auto... functions) {
    return [=](int a, int b) { return ((functions(a) == functions(b)) && ...); };
  };
  const auto cell = [&](int r) { return m.cell_of(r); };
  const auto block = [&](int r) { return m.block_of(r); };
  const auto stage = [&](int r) { return m.stage_of(r); };
  const auto number = [&](int r) { return m.number_of(r); };
  const auto slice = [&](int r) { return m.slice_of(r); };
  const auto context = [&](int r) { return m.slice_of(r) / m.parts; };
  const auto part = [&](int r) { return m.slice_of(r) % m.parts; };
  const auto copy = [&](int r) { return m.block_of(r) / m.shards; };
  const auto shard = [&](int r) { return m.block_of(r) % m.shards; };
  check(
      m, [&](int r) { return m.block(r); }, m.block_size(), same(block));
  check(
      m, [&](int r) { return m.cell(r); }, m.stages * m.slices(), same(cell));
  check(
      m, [&](int r) { return m.experts_with(r); }, m.experts * m.slices(), same(block, stage));
  check(
      m, [&](int r) { return m.slices_with(r); }, m.slices(), same(cell, stage));
  check(
      m, [&](int r) { return m.parts_with(r); }, m.parts, same(cell, stage, context));
  check(
      m, [&](int r) { return m.contexts_with(r); }, m.contexts, same(cell, stage, part));
  check(
      m, [&](int r) { return m.stages_with(r); }, m.stages, same(cell, slice));
  check(
      m, [&](int r) { return m.shards_with(r); }, m.shards, same(copy, number));
  check(
      m, [&](int r) { return m.copies_with(r); }, m.copies, same(shard, number));
  std::vector<int> all(static_cast<size_t>(m.block_size()));
  std::iota(all.begin(), all.end(), 0);
  REQUIRE(static_cast<int>(m.with_numbers(all).size()) == m.size());
  for (int rank = 0; rank < m.size(); ++rank) {
    REQUIRE(m.rank_of(m.block_of(rank), m.number_of(rank)) == rank);
    REQUIRE(m.in_block(rank, all) == m.block(rank));
  }
  for (int c = 0; c < m.cells(); ++c) {
    REQUIRE((m.cell_of(m.first_of(c)) == c && m.stage_of(m.first_of(c)) == 0 && m.slice_of(m.first_of(c)) == 0));
    REQUIRE(
        (m.cell_of(m.last_of(c)) == c && m.stage_of(m.last_of(c)) == m.stages - 1 && m.slice_of(m.last_of(c)) == 0));
  }
}

}  // namespace

TEST_CASE("groups of every mesh of up to 64 processes divide it, and hold those that belong together") {
  for (const int stages : {1, 2, 3})
    for (const int copies : {1, 2})
      for (const int shards : {1, 2, 4})
        for (const int experts : {1, 2})
          for (const int contexts : {1, 2, 3})
            for (const int parts : {1, 2})
              if (const Mesh mesh{stages, copies, shards, experts, contexts, parts}; mesh.size() <= 64)
                check_groups(mesh);
}
