// The gradients of several processes added up, while the backward pass still runs (Li et al. 2020, PyTorch
// Distributed).
#pragma once
#include <functional>
#include <memory>
#include <vector>

#include <antiphon/comm/group.h>
#include <antiphon/component/module.h>

namespace antiphon::parallel {

class GradientSum {
 public:
  // How many bytes are sent together; a gradient of `alone` bytes is sent by itself, from where it lies.
  struct Sizes {
    size_t together = size_t{25} << 20, alone = size_t{1} << 20;
  };
  // Of parameters on one device; they, as tensors, and the group must outlive it. All processes give the same ones, in the
  // same order.
  GradientSum(const std::vector<Parameter>& parameters, comm::Group& group) : GradientSum(parameters, group, Sizes()) {}
  GradientSum(const std::vector<Parameter>& parameters, comm::Group& group, const Sizes& sizes);
  ~GradientSum();
  GradientSum(const GradientSum&) = delete;

  // Before the last backward pass of a step: from now on a gradient is final once it is computed, and is sent. Each
  // parameter gets its gradient at most once in that pass.
  void begin();
  // After that pass, in every process: each parameter has the sum of all gradients; none, if it has none in any
  // process. What is sent, and in which order, does not depend on who has which.
  void finish();

  size_t buckets() const { return buckets_.size(); }
  int64_t copied() const { return copied_; }  // gradients that were not sent from where they lie

 private:
  struct Member {
    at::Tensor parameter;
    int64_t begin = 0;   // in the bucket
    bool taken = false;  // its gradient is there
  };
  struct Bucket {
    std::vector<Member> members;
    int64_t numel = 0;
    size_t first = 0;                   // number of its first member among all
    at::Tensor flat;                    // all gradients
    size_t taken = 0;                   // members
    std::function<void()> wait_for_it;  // set once it is sent
  };
  class Hook;
  // `holders`: how many may hold the gradient's memory without its being another gradient's, too.
  void take(Bucket& bucket, Member& member, int holders);
  static void copy_into(Bucket& bucket, const Member& member);
  void computed(size_t bucket, size_t member);
  void send(Bucket& bucket);
  void put_back(Bucket& bucket, const float* holders);

  comm::Group& group_;
  std::vector<Bucket> buckets_;  // in the order in which they are sent
  size_t next_ = 0;              // the first that is not sent yet
  at::Tensor holders_;           // of all members: how many processes have a gradient
  bool begun_ = false;
  int64_t copied_ = 0;
};

}  // namespace antiphon::parallel
