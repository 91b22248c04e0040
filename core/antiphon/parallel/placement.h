// Where the parameters of a model are while several processes train it, and how their gradients are added up.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include <antiphon/component/module.h>
#include <antiphon/nn/blocks/run_blocks.h>
#include <antiphon/parallel/gradient_sum.h>
#include <antiphon/parallel/offloaded_blocks.h>

namespace antiphon::parallel {

// In how many shares processes write what they keep, and which is this process's; nullopt: another one writes the same.
// One share: the first process writes all.
struct Shares {
  std::optional<int> own = 0;
  int count = 1;
};

// A process among those that have a copy of the model together, or of one shard of it (Mesh::block).
struct BlockMember {
  comm::Group* block = nullptr;  // outlives what it is given to; nullptr: this process has all of it
  bool leads = true;             // it is the first of those that compute its batches
  bool has_loss = true;          // it is the one of its block that knows what held-out samples give
  Shares shares = {};
};

// Parameters that several processes hold alike.
struct Held {
  std::vector<Parameter> parameters;
  comm::Group* group = nullptr;  // of these processes, whose first counts for all; nullptr: this one alone
  bool counts = true;            // this process is the first of its block that holds them
};

class Placement {
 public:
  virtual ~Placement() = default;
  // Of parameters of the model, what this process updates and keeps: they themselves, or its rows of them.
  virtual std::vector<Parameter> own(const std::vector<Parameter>& parameters) const = 0;
  const Shares& share() const { return member_.shares; }

  // Before forward passes; nothing if nothing has changed since. All processes do as many passes.
  virtual void make_usable() = 0;
  // Makes these parameters of the model what they are outside of a pass, to be written: blocks have none of theirs
  // else. All processes call it, after the last pass.
  virtual void make_whole(const std::vector<Parameter>& /*parameters*/) {}
  // Once the tensors of own() have been given other values, between passes of which no gradient is still to come: what
  // is whole is made of these.
  virtual void values_exchanged() {}
  // Before the first pass: what is frozen of these blocks is kept in the host's memory; `learns_from`: see BlockWindow.
  // -> its bytes.
  int64_t offload(const std::vector<Module*>& blocks, size_t learns_from);
  int64_t offloaded_bytes() const { return offloaded_ ? offloaded_->bytes() : 0; }
  // Whether this of own(), its gradient and what an optimizer keeps of it are in the host's memory.
  virtual bool on_host(const Parameter& /*own*/) const { return false; }
  // For BlockPolicyScope while they run: the policy, `inner` done within it. May be nullptr.
  nn::BlockPolicy* around(nn::BlockPolicy* inner);
  // Before the last backward pass of a step, if each parameter gets its gradient at most once in it.
  virtual void begin_last_pass() = 0;
  // After each backward pass.
  void end_pass();
  // After the last: own() has the sums of all gradients; none for a parameter that has none in any process.
  void add_gradients();
  // The sum over the processes that keep different values; a parameter that several of them keep counts in one of them.
  virtual double add_up(double own) = 0;
  bool counts(const Parameter& own) const { return !counted_by_others_.contains(own.tensor); }
  // Others keep these, too, and count them.
  void leave_to_others(const std::vector<Parameter>& own);
  bool leads() const { return member_.leads; }
  bool has_loss() const { return member_.has_loss; }

  // The largest over the processes of the block, which call it as often.
  int largest(int own);
  // Forward passes without gradients of which each block, all of its processes the same, does as many as it wants to.
  // Returns once all have done theirs, or throws what `passes` does; Error(distributed), of memory
  // Error(memory), if that leaves others waiting.
  virtual void run_uneven(const std::function<void()>& passes) = 0;

 protected:
  explicit Placement(const BlockMember& member) : member_(member) {}
  virtual nn::BlockPolicy* around_blocks(nn::BlockPolicy* inner) = 0;
  virtual void end_blocks() = 0;
  virtual void sum_gradients() = 0;
  // Of several in a block: a stop is agreed on between batches; whoever leaves otherwise leaves the others in the
  // middle of one, which is Error(distributed), or Error(memory).
  void in_block(const std::function<void()>& passes) const;
  [[noreturn]] static void leave_pass(const std::exception& reason);
  comm::Group* block() const { return member_.block; }

 private:
  BlockMember member_;
  std::set<const at::Tensor*> counted_by_others_;
  std::unique_ptr<OffloadedBlocks> offloaded_;
};

// Every process has all parameters, or those of a block have them together (Shoeybi et al. 2019; Huang et al. 2019).
class Replicated : public Placement {
 public:
  // One process.
  explicit Replicated(std::vector<Parameter> trained) : Replicated({{std::move(trained)}}, {}) {}
  // `held`: all that is trained, each with the processes of all blocks that hold it. All groups must outlive it.
  Replicated(std::vector<Held> held, const BlockMember& member);
  std::vector<Parameter> own(const std::vector<Parameter>& parameters) const override { return parameters; }
  void make_usable() override;
  void begin_last_pass() override;
  double add_up(double own) override;
  void run_uneven(const std::function<void()>& passes) override;

 protected:
  nn::BlockPolicy* around_blocks(nn::BlockPolicy* inner) override { return inner; }
  void end_blocks() override;
  void sum_gradients() override;

 private:
  std::vector<Held> held_;
  std::vector<std::unique_ptr<GradientSum>> sums_;  // from the first step on, when the tensors are what they will be
};

}  // namespace antiphon::parallel
