// Parameters that are cut up among processes, and made whole and given back together (Rajbhandari et al. 2020, ZeRO;
// Zhao et al. 2023, PyTorch FSDP). Each is cut along its first dimension, evenly to a row. What a process keeps of them
// may be in the host's memory (Ren et al. 2021, ZeRO-Offload).
#pragma once
#include <deque>
#include <functional>
#include <vector>

#include <antiphon/comm/group.h>
#include <antiphon/component/module.h>
#include <antiphon/parallel/block_window.h>
#include <antiphon/parallel/host_copies.h>
#include <antiphon/parallel/unit_memory.h>

namespace antiphon::parallel {

struct UnitMember {
  Parameter parameter;
  at::ScalarType whole = at::kFloat;  // its dtype when it is whole; the rows keep their own
  bool on_host = false;               // the rows and their gradients are kept in the host's memory
};

class Unit : public BlockMemory {
 public:
  // Cuts up the parameters, which have values and may be parts already: their tensors lose their memory and keep their
  // shapes. All must outlive it; every process of the group does the same. `group`: nullptr: this process has all rows.
  // Error(plugin) for a parameter without rows; of the functions below, Error(distributed).
  Unit(const std::vector<UnitMember>& members, comm::Group* group, UnitMemory& memory);
  ~Unit() override;
  Unit(const Unit&) = delete;

  // The rows of this process, each a parameter of its own, in the order of the parameters.
  const std::vector<Parameter>& own() const { return own_; }
  const at::Tensor* parameter(size_t i) const { return parameters_[i]; }
  bool on_host(size_t i) const { return members_[i].on_host; }

  // Gathers them: the tensors of the parameters hold all values from wait_until_filled() to release(); the same memory
  // is seen by whatever an autograd graph has saved of them.
  void begin_fill() override;
  void wait_until_filled() override;
  void release() override;
  bool has_memory() const override { return memory_of_whole_.defined(); }

  // Takes the gradients of the parameters; finish_sum() adds the sum over all processes to those of the own rows, or
  // begins to copy it into the host's memory, and land() adds it there. A parameter without a gradient counts as zero.
  void begin_sum();
  void finish_sum();
  void land();
  // How many times begin_sum() has found a gradient of parameter i since the last call of forget_holders().
  const std::vector<float>& holders() const { return holders_; }
  void forget_holders() { holders_.assign(holders_.size(), 0); }
  // What is derived from values that are trained is to be derived anew, since they will be others.
  void values_change();

 private:
  struct Member {
    at::Tensor whole;   // the parameter
    int64_t place = 0;  // in the memory, in bytes
    bool on_host = false;
  };
  at::Tensor& own(size_t member) { return own_tensors_[member]; }
  int64_t row_of(const at::Tensor& whole, int rank) const;  // first row of a process
  at::Tensor rows_of(const at::Tensor& whole, int rank) const;
  at::Tensor kept_of(const at::Tensor& whole, bool on_host) const;
  at::Tensor to_gather(size_t member);
  void add(size_t member, const at::Tensor& sum);
  comm::Group* group_;
  UnitMemory& memory_;
  std::vector<Member> members_;
  std::vector<const at::Tensor*> parameters_;
  std::deque<at::Tensor> own_tensors_;
  std::vector<Parameter> own_;
  int64_t bytes_ = 0;
  at::Tensor memory_of_whole_;  // undefined: released
  bool filling_ = false;
  std::function<void()> gathering_, summing_;
  std::vector<std::pair<size_t, at::Tensor>> sums_, landing_;  // of members
  HostCopies copies_;
  std::vector<float> holders_;
};

}  // namespace antiphon::parallel
