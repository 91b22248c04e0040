// Rows of all processes in one place, of each as many as it has.
#pragma once
#include <antiphon/comm/group.h>

namespace antiphon::parallel {

struct GatheredRows {
  at::Tensor rows;    // [sum of rows, ...], in the order of ranks
  int64_t first = 0;  // of this process's own among them
};

// own [rows, ...], without a gradient; nullptr: this process alone.
GatheredRows gather_rows(const at::Tensor& own, comm::Group* group);

}  // namespace antiphon::parallel
