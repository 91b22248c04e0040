// Where the parameters of a model are while several processes train it, and how their gradients are added up.
#pragma once
#include <functional>
#include <optional>
#include <vector>

#include <antiphon/component/module.h>
#include <antiphon/nn/blocks/run_blocks.h>
#include <antiphon/parallel/gradient_sum.h>

namespace antiphon::parallel {

class Placement {
 public:
  virtual ~Placement() = default;
  // Of parameters of the model, what this process updates and keeps: they themselves, or its rows of them.
  virtual std::vector<Parameter> own(const std::vector<Parameter>& parameters) const = 0;
  // In how many shares the processes write what own() gives, and which is this process's; nullopt: another one writes
  // the same. One share: the first process writes all.
  struct Shares {
    std::optional<int> own = 0;
    int count = 1;
  };
  virtual Shares share() const { return {}; }

  // Before forward passes; nothing if nothing has changed since. All processes do as many passes.
  virtual void make_usable() = 0;
  // For BlockPolicyScope while they run: the policy, `inner` done within it. May be nullptr.
  virtual nn::BlockPolicy* around(nn::BlockPolicy* inner) = 0;
  // Before the last backward pass of a step, if each parameter gets its gradient at most once in it.
  virtual void begin_last_pass() = 0;
  // After each backward pass.
  virtual void end_pass() = 0;
  // After the last: own() has the sums of all gradients; none for a parameter that has none in any process.
  virtual void add_gradients() = 0;
  // The sum over the processes that keep different values.
  virtual double add_up(double own) = 0;

  // Forward passes without gradients of which each process does as many as it wants to. Returns once all have done
  // theirs, or throws what `passes` does.
  virtual void run_uneven(const std::function<void()>& passes) = 0;
};

// Every process has all parameters.
class Replicated : public Placement {
 public:
  // `group`: of processes that add up gradients, must outlive it; nullptr: there is one process.
  Replicated(std::vector<Parameter> trained, comm::Group* group) : trained_(std::move(trained)), group_(group) {}
  std::vector<Parameter> own(const std::vector<Parameter>& parameters) const override { return parameters; }
  void make_usable() override;
  nn::BlockPolicy* around(nn::BlockPolicy* inner) override { return inner; }
  void begin_last_pass() override;
  void end_pass() override;
  void add_gradients() override;
  double add_up(double own) override { return own; }
  void run_uneven(const std::function<void()>& passes) override { passes(); }

 private:
  std::vector<Parameter> trained_;
  comm::Group* group_;
  std::optional<GradientSum> sum_;  // from the first step on, when the tensors are what they will be
};

}  // namespace antiphon::parallel
