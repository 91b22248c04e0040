#include <antiphon/nn/blocks/run_blocks.h>

#include <antiphon/nn/linear/linear.h>

#include <algorithm>
#include <utility>

namespace antiphon::nn {
namespace {

thread_local BlockPolicy* policy_now = nullptr;

}  // namespace

BlockPolicyScope::BlockPolicyScope(BlockPolicy* policy) : before_(std::exchange(policy_now, policy)) {}
BlockPolicyScope::~BlockPolicyScope() { policy_now = before_; }
BlockPolicy* BlockPolicyScope::now() { return policy_now; }

bool learns(Module& block) {
  return std::ranges::any_of(block.parameters(), [](const auto& own) { return own.tensor->requires_grad(); }) ||
         std::ranges::any_of(block.sites(), [](const auto& site) { return !site.linear->adapters.empty(); });
}

}  // namespace antiphon::nn
