// Parameters cut up among processes: fully (each block of the language model is whole only while it computes, as in
// PyTorch FSDP and ZeRO stage 3), or between steps (ZeRO stages 1 and 2: optimizer states and sums of gradients are cut
// up, parameters are whole during a step). Batches are divided among all processes either way. What a process keeps may
// be in the host's memory, also if it keeps all: then gradients go there, and values come from there.
#pragma once
#include <memory>
#include <set>
#include <unordered_map>

#include <antiphon/parallel/placement.h>
#include <antiphon/parallel/unit.h>

namespace antiphon::parallel {

struct ShardedModel {
  std::vector<Parameter> trained;  // of the whole model
  // Of the language model, each released after it has computed; none: parameters are whole during a step.
  std::vector<Module*> blocks;
  bool frozen_too = false;               // of the blocks
  at::ScalarType computed = at::kFloat;  // in which linear layers compute: their matrices are gathered in it
  // The first block with a backward pass: one with something trained in it or before it, an encoder for instance, which
  // not every batch has.
  size_t learns_from = 0;
  bool trained_on_host = false, frozen_on_host = false;  // what is kept of them
};

// What belongs to a block is a unit; what is trained elsewhere, adapters included, is whole during a step. What is
// exchanged, and in which order, depends on the model and the number of passes, never on data.
class Sharded : public Placement {
 public:
  // `shards`: among which parameters are cut up, or nullptr; `replicas`: those that keep the same rows, or nullptr;
  // `held`: of what is trained, what others of this process's block hold as well, with them. They must outlive it.
  Sharded(const ShardedModel& model, comm::Group* shards, comm::Group* replicas, const std::vector<Held>& held = {},
          const BlockMember& member = {});

  std::vector<Parameter> own(const std::vector<Parameter>& parameters) const override;
  void make_usable() override;
  void make_whole(const std::vector<Parameter>& parameters) override;
  void values_exchanged() override;
  void begin_last_pass() override {}
  double add_up(double own) override;
  bool on_host(const Parameter& own) const override { return on_host_.contains(own.tensor); }
  void run_uneven(const std::function<void()>& passes) override;

  size_t blocks_with_memory() const { return window_.blocks_with_memory(); }

 protected:
  nn::BlockPolicy* around_blocks(nn::BlockPolicy* inner) override { return window_.around(inner); }
  void end_blocks() override;
  void sum_gradients() override;

 private:
  void add_blocks(const ShardedModel& model);
  void add_others(const ShardedModel& model);
  bool another_pass_of(int64_t own);  // whether any process has one; 1: this one has
  void finish_sum();
  void drop_unheld();
  // The sum over a group of the gradients of own rows.
  static void add_over(comm::Group& group, const std::vector<Parameter>& own);
  std::vector<Unit*> units() const;

  comm::Group* shards_;
  comm::Group* replicas_;
  std::vector<Held> held_;  // own rows
  UnitMemory memory_, memory_of_others_;
  std::vector<std::unique_ptr<Unit>> blocks_, others_;
  BlockWindow window_;
  std::vector<Parameter> in_others_;
  std::unordered_map<const at::Tensor*, Parameter> own_;
  std::set<const at::Tensor*> in_blocks_, on_host_;  // parameters; own rows
  Unit *summing_ = nullptr, *landing_ = nullptr;     // whose sums are under way, and then on their way to the host
  bool uneven_ = false;
};

}  // namespace antiphon::parallel
