#include <antiphon/parallel/mesh.h>

#include <algorithm>
#include <functional>

namespace antiphon::parallel {
namespace {

std::vector<int> ranks(int count, const std::function<int(int)>& rank_of) {
  std::vector<int> all;
  for (int i = 0; i < count; ++i) all.push_back(rank_of(i));
  std::ranges::sort(all);
  return all;
}

}  // namespace

int Mesh::rank_of(int block, int number) const {
  const int in_stage = experts * slices();
  return (number / in_stage * blocks() + block) * in_stage + number % in_stage;
}

std::vector<int> Mesh::block(int rank) const {
  return ranks(block_size(), [&](int number) { return rank_of(block_of(rank), number); });
}

std::vector<int> Mesh::cell(int rank) const {
  return ranks(stages * slices(),
               [&](int i) { return (i / slices() * cells() + cell_of(rank)) * slices() + i % slices(); });
}

std::vector<int> Mesh::experts_with(int rank) const {
  const int in_stage = experts * slices();
  return ranks(in_stage, [&](int i) { return rank - rank % in_stage + i; });
}

std::vector<int> Mesh::slices_with(int rank) const {
  return ranks(slices(), [&](int slice) { return rank - slice_of(rank) + slice; });
}

std::vector<int> Mesh::parts_with(int rank) const {
  return ranks(parts, [&](int part) { return rank - rank % parts + part; });
}

std::vector<int> Mesh::contexts_with(int rank) const {
  return ranks(contexts, [&](int context) { return rank - slice_of(rank) + context * parts + rank % parts; });
}

std::vector<int> Mesh::stages_with(int rank) const {
  return ranks(stages, [&](int stage) { return (stage * cells() + cell_of(rank)) * slices() + slice_of(rank); });
}

std::vector<int> Mesh::shards_with(int rank) const {
  const int first = block_of(rank) / shards * shards;
  return ranks(shards, [&](int shard) { return rank_of(first + shard, number_of(rank)); });
}

std::vector<int> Mesh::copies_with(int rank) const {
  const int shard = block_of(rank) % shards;
  return ranks(copies, [&](int copy) { return rank_of(copy * shards + shard, number_of(rank)); });
}

std::vector<int> Mesh::copy(int rank) const {
  const int first = block_of(rank) / shards * shards;
  return ranks(shards * block_size(), [&](int i) { return rank_of(first + i / block_size(), i % block_size()); });
}

std::vector<int> Mesh::with_numbers(const std::vector<int>& numbers) const {
  const int all = static_cast<int>(numbers.size());
  return ranks(blocks() * all, [&](int i) { return rank_of(i / all, numbers[static_cast<size_t>(i % all)]); });
}

std::vector<int> Mesh::in_block(int rank, const std::vector<int>& numbers) const {
  return ranks(static_cast<int>(numbers.size()),
               [&](int i) { return rank_of(block_of(rank), numbers[static_cast<size_t>(i)]); });
}

}  // namespace antiphon::parallel
