#include <antiphon/nn/blocks/run_blocks.h>

#include <utility>

namespace antiphon::nn {
namespace {

thread_local BlockPolicy* policy_now = nullptr;

}  // namespace

BlockPolicyScope::BlockPolicyScope(BlockPolicy* policy) : before_(std::exchange(policy_now, policy)) {}
BlockPolicyScope::~BlockPolicyScope() { policy_now = before_; }
BlockPolicy* BlockPolicyScope::now() { return policy_now; }

}  // namespace antiphon::nn
