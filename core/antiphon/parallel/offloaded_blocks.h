// Blocks whose frozen parameters are kept in the host's memory, and copied to the device while the block computes.
#pragma once
#include <memory>
#include <vector>

#include <antiphon/component/module.h>
#include <antiphon/parallel/block_window.h>
#include <antiphon/parallel/unit.h>

namespace antiphon::parallel {

// Of a block what can come and go: not what is fixed, what another process has, nor what is kept in few bits.
std::vector<Parameter> parameters_that_move(Module& block);

class OffloadedBlocks {
 public:
  // `learns_from`: see BlockWindow. The blocks have values, and must outlive it.
  OffloadedBlocks(const std::vector<Module*>& blocks, size_t learns_from);
  BlockWindow& window() { return window_; }
  int64_t bytes() const;  // of all blocks

 private:
  UnitMemory memory_;
  std::vector<std::unique_ptr<Unit>> blocks_;
  BlockWindow window_;
};

}  // namespace antiphon::parallel
