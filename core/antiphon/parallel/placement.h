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
  // The sum over the processes that keep different values; a parameter that several of them keep counts in one of them.
  virtual double add_up(double own) = 0;
  virtual bool counts(const Parameter&) const { return true; }
  // Whether this process is the first of those that compute its batches.
  virtual bool leads() const { return true; }

  // The largest over the processes that compute the same batches, which call it as often.
  virtual int largest(int own) { return own; }
  // Forward passes without gradients of which each process, or each group of them that compute the same batches, does
  // as many as it wants to. Returns once all have done theirs, or throws what `passes` does; Error(distributed) if that
  // leaves others waiting.
  virtual void run_uneven(const std::function<void()>& passes) = 0;
};

// Every process has all parameters, or those of a cell (Shoeybi et al. 2019) have them together: then each has its part
// of some (Parameter::box) and all of the others.
class Replicated : public Placement {
 public:
  // `group`: all processes; nullptr: there is one. `cell`: those that compute the same batches; nullptr: this one does.
  // `copies`: those with the same parts, or nullptr. They must outlive it.
  Replicated(std::vector<Parameter> trained, comm::Group* group, comm::Group* cell = nullptr,
             comm::Group* copies = nullptr)
      : trained_(std::move(trained)), group_(group), cell_(cell), copies_(copies) {}
  std::vector<Parameter> own(const std::vector<Parameter>& parameters) const override { return parameters; }
  void make_usable() override;
  nn::BlockPolicy* around(nn::BlockPolicy* inner) override { return inner; }
  void begin_last_pass() override;
  void end_pass() override;
  void add_gradients() override;
  Shares share() const override;
  double add_up(double own) override;
  bool counts(const Parameter& parameter) const override { return parameter.box || leads(); }
  bool leads() const override { return !cell_ || cell_->rank() == 0; }
  int largest(int own) override;
  void run_uneven(const std::function<void()>& passes) override;

 private:
  std::vector<Parameter> trained_;
  comm::Group *group_, *cell_, *copies_;
  std::optional<GradientSum> sum_, sum_of_parts_;  // from the first step on, when the tensors are what they will be
};

}  // namespace antiphon::parallel
