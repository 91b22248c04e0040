// The tokens of a batch divided among processes that compute its blocks together (Korthikanti et al. 2022): outside
// attention and MLP each has a slice of them, within it has all, of some heads. Each function's backward is its exact
// transpose, so that the sum of a gradient over the processes is the gradient, for every parameter that all of them
// hold.
#pragma once
#include <ATen/core/Tensor.h>

#include <antiphon/comm/group.h>

namespace antiphon::nn {

// The part of a process of the group among `all` rows, heads or tokens: evenly, to one.
struct Part {
  int64_t begin = 0, size = 0;
};
Part part_of(int64_t all, int rank, int size);

// Slices [part, width] of all processes -> [tokens, width]. Backward: the sum of all processes' gradients, of the
// slice.
at::Tensor whole_tokens(const at::Tensor& slice, int64_t tokens, comm::Group& group);
// [tokens, width] of each process -> the slice [part, width] of their sum. Backward: the gradients of all slices,
// whole. `learns`: requires a gradient although x may not, since that of another process does.
at::Tensor slice_of_sum(const at::Tensor& x, comm::Group& group, bool learns = false);

}  // namespace antiphon::nn
