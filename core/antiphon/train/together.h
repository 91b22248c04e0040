// The agreement of several processes: each sends its record to all, and all compute the same from what they have.
#pragma once
#include <antiphon/comm/group.h>
#include <antiphon/train/agreement.h>

namespace antiphon::train {

class Together : public Agreement {
 public:
  // `group` must outlive it. `cell`: so many processes each, one after the other, compute the same batches together;
  // their records count once.
  explicit Together(comm::Group& group, int cell = 1) : group_(group), cell_(static_cast<size_t>(cell)) {}
  DrawnRecord agree(const DrawnRecord& own) override;
  ComputedRecord agree(const ComputedRecord& own) override;
  EndedRecord agree(const EndedRecord& own) override;
  comm::Group* group() const override { return &group_; }

 private:
  comm::Group& group_;
  size_t cell_;
};

// The share of cell `rank` of `size` in the rows of a step. Error(config) unless `rows` is a multiple of `size`.
data::RowShare share_of(int rank, int size, int64_t rows);

}  // namespace antiphon::train
