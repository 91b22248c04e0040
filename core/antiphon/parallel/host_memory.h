// Frozen parameters of a block that are kept in the host's memory, and copied to the device while the block computes.
#pragma once
#include <vector>

#include <antiphon/component/module.h>
#include <antiphon/parallel/block_window.h>
#include <antiphon/parallel/unit_memory.h>

namespace antiphon::parallel {

class HostMemory : public BlockMemory {
 public:
  // The parameters have values: their tensors lose their memory and keep their shapes. All must outlive it.
  HostMemory(const std::vector<Parameter>& parameters, UnitMemory& memory);
  ~HostMemory() override;
  HostMemory(const HostMemory&) = delete;

  void begin_fill() override;
  void wait_until_filled() override;
  void release() override;
  bool has_memory() const override { return memory_of_values_.defined(); }
  int64_t bytes() const { return bytes_; }

 private:
  struct Value {
    at::Tensor on_host, on_device;
    int64_t place = 0;  // in the memory, in bytes
  };
  std::vector<Value> values_;
  UnitMemory& memory_;
  int64_t bytes_ = 0;
  at::Tensor memory_of_values_;
};

// The blocks of a language model with what is frozen of them in the host's memory.
class OffloadedBlocks {
 public:
  // `learns_from`: see BlockWindow.
  OffloadedBlocks(const std::vector<Module*>& blocks, size_t learns_from);
  BlockWindow& window() { return window_; }
  int64_t bytes() const;  // of all blocks

 private:
  UnitMemory memory_;
  std::vector<std::unique_ptr<HostMemory>> blocks_;
  BlockWindow window_;
};

}  // namespace antiphon::parallel
