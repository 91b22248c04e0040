// The agreement of several processes: each sends its record to all, and all compute the same from what they have.
#pragma once
#include <antiphon/comm/group.h>
#include <antiphon/parallel/mesh.h>
#include <antiphon/train/agreement.h>

namespace antiphon::train {

class Together : public Agreement {
 public:
  // `group` must outlive it. Of a cell of the mesh, which computes the same batches together, what is drawn counts
  // once, and what is computed is said by the process that has it.
  Together(comm::Group& group, const parallel::Mesh& mesh) : group_(group), mesh_(mesh) {}
  DrawnRecord agree(const DrawnRecord& own) override;
  ComputedRecord agree(const ComputedRecord& own) override;
  EndedRecord agree(const EndedRecord& own) override;
  comm::Group* group() const override { return &group_; }

 private:
  std::map<std::string, StepMetrics::Sum> named(const StepMetrics& own);
  comm::Group& group_;
  parallel::Mesh mesh_;
};

// The share of cell `rank` of `size`, of so many processes each, in the rows of a step. Error(config) unless `rows` is
// a multiple of `size`.
data::RowShare share_of(int rank, int size, int64_t rows, int processes = 1);

}  // namespace antiphon::train
