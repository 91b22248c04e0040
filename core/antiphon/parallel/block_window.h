// Blocks of a stack whose parameters have memory only while they compute, in the forward pass and again in the backward
// pass; while one computes, the memory of the next is filled.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include <antiphon/nn/blocks/run_blocks.h>

namespace antiphon::parallel {

// The memory of a block's parameters.
class BlockMemory {
 public:
  virtual ~BlockMemory() = default;
  virtual void begin_fill() = 0;  // nothing if it is there
  virtual void wait_until_filled() = 0;
  virtual void release() = 0;  // nothing if there is none
  virtual bool has_memory() const = 0;
};

// Several batches may be between their passes. In which order blocks are filled and released depends on the model and
// the passes, never on data.
class BlockWindow : public nn::BlockPolicy {
 public:
  // In the order of the stack; `block` must outlive it.
  void add(const Module& block, BlockMemory& memory);
  bool empty() const { return blocks_.empty(); }
  // The first block of the stack with a backward pass: one with something trained in it or before it, an encoder for
  // instance, which not every batch has.
  void set_learns_from(size_t block) { learns_from_ = block; }
  // Called before the first block of a pass, and once the backward pass of a block has ended and its memory is
  // released.
  std::function<void()> before_pass;
  std::function<void(size_t number)> after_backward;

  // For BlockPolicyScope; `inner` is done within it. May be nullptr.
  nn::BlockPolicy* around(nn::BlockPolicy* inner);
  at::Tensor run(const nn::StackBlock& block, const at::Tensor& x) override;
  // After each backward pass, and after the last of a step.
  void end_pass();
  void end_step();
  // Whether a forward pass has begun and not reached its last block.
  bool in_pass() const { return in_pass_; }
  void leave_pass() { in_pass_ = false; }
  // Fills and releases each block, as a forward pass does.
  void pass_through();
  size_t blocks_with_memory() const;

 private:
  friend struct BeforeBackward;
  struct Block {
    BlockMemory* memory = nullptr;
    int waiting = 0;  // batches, for its backward pass
  };
  void use(size_t block, int direction);
  void before_backward(size_t block);
  void end_backward(size_t block);
  std::vector<Block> blocks_;
  std::unordered_map<const Module*, size_t> number_;
  size_t learns_from_ = 0;
  nn::BlockPolicy* inner_ = nullptr;
  std::optional<size_t> in_backward_;  // the block whose backward pass runs
  bool in_pass_ = false;
};

}  // namespace antiphon::parallel
