// Dropout whose mask is a function of a key and of each value's place, not of a generator's state: it is the same again
// when a block is computed again, and in whichever process which part of a tensor is.
#pragma once
#include <ATen/core/Tensor.h>

#include <string_view>

namespace antiphon::nn {

// Of the site in the pass that is running (TrainingPass::key()).
uint64_t dropout_key(std::string_view site);

// Where x [rows, columns] lies in the whole whose values are counted.
struct DropoutPlace {
  int64_t first_row = 0, first_column = 0;
  int64_t columns = 0;  // of the whole; 0: x has all
};

// While an object of this class lives, the rows of what this thread drops begin with this token of the batch: of
// processes that have some tokens each.
class DropoutRows {
 public:
  explicit DropoutRows(int64_t first);
  ~DropoutRows();
  DropoutRows(const DropoutRows&) = delete;
  static int64_t first();

 private:
  int64_t before_;
};

// x [..., columns] -> each value 0 with probability p, else times 1 / (1 - p); differentiable.
at::Tensor keyed_dropout(const at::Tensor& x, double p, uint64_t key, const DropoutPlace& place = {});

}  // namespace antiphon::nn
