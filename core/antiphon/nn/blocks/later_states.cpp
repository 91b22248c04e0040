#include <antiphon/nn/blocks/later_states.h>

#include <ATen/ATen.h>

#include <algorithm>

namespace antiphon::nn {
namespace {

// Of blocks that something is added after.
int64_t blocks_from(const AddedStates& added, int64_t block) {
  return std::max<int64_t>(0, std::ssize(added.after) - block);
}

}  // namespace

int64_t rows_for_later(const AddedStates& added, int64_t block) {
  const auto blocks = blocks_from(added, block);
  return blocks > 0 ? blocks * added.tokens_n.size(0) : 0;
}

at::Tensor with_later(const at::Tensor& x_td, const AddedStates& added, int64_t block) {
  const auto blocks = blocks_from(added, block);
  if (blocks == 0) return x_td;
  std::vector<at::Tensor> all{x_td};
  all.insert(all.end(), added.after.end() - blocks, added.after.end());
  return at::cat(all);
}

at::Tensor without_later(const at::Tensor& all, AddedStates& added, int64_t block) {
  const auto blocks = blocks_from(added, block);
  if (blocks == 0) return all;
  std::vector<int64_t> sizes(static_cast<size_t>(blocks) + 1, added.tokens_n.size(0));
  sizes.front() = all.size(0) - rows_for_later(added, block);
  const auto pieces = all.split_with_sizes(sizes);
  std::copy(pieces.begin() + 1, pieces.end(), added.after.end() - blocks);
  return pieces.front();
}

}  // namespace antiphon::nn
