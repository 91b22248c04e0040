// What is added to hidden states after blocks that other stages of a pipeline have goes to these with the hidden
// states.
#pragma once
#include <antiphon/component/language_model.h>

namespace antiphon::nn {

// How many rows of `added` are for `block` and the blocks behind it.
int64_t rows_for_later(const AddedStates& added, int64_t block);
// x, and behind it these rows; and both apart again, the rows in `added`.
at::Tensor with_later(const at::Tensor& x_td, const AddedStates& added, int64_t block);
at::Tensor without_later(const at::Tensor& all, AddedStates& added, int64_t block);

}  // namespace antiphon::nn
