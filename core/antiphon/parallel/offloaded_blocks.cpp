#include <antiphon/parallel/offloaded_blocks.h>

#include <ATen/ATen.h>

#include <antiphon/nn/linear/linear.h>

#include <set>

namespace antiphon::parallel {

std::vector<Parameter> parameters_that_move(Module& block) {
  std::set<const at::Tensor*> quantized;
  for (const auto& site : block.sites())
    if (site.linear->is_quantized()) quantized.insert(&site.linear->weight);
  auto all = block.parameters();
  std::erase_if(all, [&](const Parameter& own) {
    return own.fixed || own.tensor->numel() == 0 || quantized.contains(own.tensor);
  });
  return all;
}

OffloadedBlocks::OffloadedBlocks(const std::vector<Module*>& blocks, size_t learns_from) {
  window_.set_learns_from(learns_from);
  for (auto* block : blocks) {
    std::vector<UnitMember> frozen;
    for (const auto& parameter : parameters_that_move(*block))
      if (!parameter.tensor->requires_grad())
        frozen.push_back({parameter, parameter.tensor->scalar_type(), /*on_host=*/true});
    if (frozen.empty()) continue;
    blocks_.push_back(std::make_unique<Unit>(frozen, nullptr, memory_));
    window_.add(*block, *blocks_.back());
  }
}

int64_t OffloadedBlocks::bytes() const {
  int64_t sum = 0;
  for (const auto& block : blocks_)
    for (const auto& own : block->own()) sum += static_cast<int64_t>(own.tensor->nbytes());
  return sum;
}

}  // namespace antiphon::parallel
