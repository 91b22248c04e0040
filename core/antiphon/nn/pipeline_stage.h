// The blocks of a model dealt out to the processes of a pipeline, which hand on activations and get gradients back
// (Huang et al. 2019, GPipe). Of `stages · chunks` ranges of blocks, stage p has those whose number is p modulo
// `stages` (Narayanan et al. 2021). In which order the passes take place is the caller's (parallel/schedule.h).
#pragma once
#include <ATen/core/Tensor.h>

#include <antiphon/comm/group.h>

#include <functional>
#include <memory>
#include <vector>

namespace antiphon::nn {

// Numbers that are added up over all blocks: each stage hands on those of the blocks so far with its activations, and
// the last one hands back those of all with the gradients.
class StageSums {
 public:
  virtual ~StageSums() = default;
  virtual at::Tensor counted(const at::TensorOptions& options) const = 0;  // [n] float32
  virtual void set_counted(const at::Tensor& sums) = 0;
};

class PipelineStage {
 public:
  struct Range {
    int64_t begin = 0, end = 0;  // of the blocks
    bool learns_before = false;  // what comes before it is trained, so that the gradient of its input is wanted
  };
  // `group`: the stages, in order; outlives it. One range for each chunk of each stage.
  PipelineStage(comm::Group& group, std::vector<Range> ranges) : group_(group), ranges_(std::move(ranges)) {}
  PipelineStage(const PipelineStage&) = delete;

  // Of the chunk that the pass computes (component/pipeline_pass.h).
  const Range& range() const { return ranges_[static_cast<size_t>(number())]; }
  bool is_first() const { return number() == 0; }
  bool is_last() const { return number() + 1 == static_cast<int>(ranges_.size()); }
  // Whether a block, or a range, is of this stage.
  bool has(int64_t block) const;
  bool has_range(size_t range) const { return static_cast<int>(range) % group_.size() == group_.rank(); }
  size_t ranges() const { return ranges_.size(); }

  // What the stage before has sent of the same batch; its gradient is sent back in the backward pass, if it is wanted.
  // `sums`: nullptr in all stages or in none.
  at::Tensor received(at::IntArrayRef sizes, const at::TensorOptions& options, const std::shared_ptr<StageSums>& sums);
  // Sends x to the next stage. -> a scalar 0, whose backward pass receives the gradient of x; without one if none is
  // wanted of what is sent.
  at::Tensor sent(const at::Tensor& x, const std::shared_ptr<StageSums>& sums);

 private:
  friend struct Received;
  friend struct Sent;
  int number() const;
  // One message may be on its way in each direction, so that a slow stage does not let another run ahead without bound.
  void send(const at::Tensor& x, const StageSums* sums, int direction, int tag);
  at::Tensor receive(const at::Tensor& into, StageSums* sums, int direction, int tag);

  comm::Group& group_;
  std::vector<Range> ranges_;
  std::function<void()> under_way_[2];  // forward and backward
};

}  // namespace antiphon::nn
