// The tokens of a batch divided among processes that compute its blocks together (Korthikanti et al. 2022): outside
// attention and MLP each has a slice of them, within it has all, of some heads. Each function's backward is its exact
// transpose, so that the sum of a gradient over the processes is the gradient, for every parameter that all of them
// hold.
#pragma once
#include <ATen/core/Tensor.h>

#include <antiphon/comm/group.h>

#include <vector>

namespace antiphon::nn {

// The part of a process of the group among `all` rows, heads or tokens: evenly, to one.
struct Part {
  int64_t begin = 0, size = 0;
};
Part part_of(int64_t all, int rank, int size);
// The same of key and value heads; of fewer heads than processes each is in several.
Part kv_heads_of(int64_t all, int rank, int size);
// How many of the positions [n], which rise, lie in each of consecutive slices of these sizes.
std::vector<int64_t> counts_in(const at::Tensor& positions_n, const std::vector<int64_t>& sizes);

// The slices of the tokens that the processes of a stage have: slice context · parts + part of contexts · parts.
struct TokenSlices {
  comm::Group* parts = nullptr;     // of this context: they have all its tokens within attention and MLP; nullptr: one
  comm::Group* contexts = nullptr;  // with the same part, other tokens; nullptr: one
  comm::Group* all = nullptr;       // of both; nullptr: this process has all tokens

  int context() const { return contexts ? contexts->rank() : 0; }
  int count() const { return all ? all->size() : 1; }
  // Of `tokens` of a batch: this process's slice, and what the parts of its context have together.
  Part own(int64_t tokens) const { return part_of(tokens, all ? all->rank() : 0, count()); }
  Part of_context(int64_t tokens, int context) const;
  Part of_context(int64_t tokens) const { return of_context(tokens, context()); }
  // Sizes of what each part of the context, each context, and each process has.
  std::vector<int64_t> in_parts(int64_t tokens) const;
  std::vector<int64_t> in_contexts(int64_t tokens) const;
  std::vector<int64_t> in_all(int64_t tokens) const;
};

// Slices [sizes[rank], width] of all processes -> [Σ sizes, width]. Backward: the sum of all processes' gradients, of
// the slice.
at::Tensor whole_tokens(const at::Tensor& slice, const std::vector<int64_t>& sizes, comm::Group& group);
// [Σ sizes, width] of each process -> the slice [sizes[rank], width] of their sum. Backward: the gradients of all
// slices, whole. `learns`: requires a gradient although x may not, since that of another process does.
at::Tensor slice_of_sum(const at::Tensor& x, const std::vector<int64_t>& sizes, comm::Group& group,
                        bool learns = false);

// Some tokens [sizes[rank], heads, head_size] in each process -> all tokens [Σ sizes, heads / processes, head_size] of
// some heads, a multiple of the number of processes (Jacobs et al. 2023, DeepSpeed Ulysses), and back. Each is the
// other's backward.
at::Tensor to_heads(const at::Tensor& x_thd, const std::vector<int64_t>& sizes, comm::Group& group);
at::Tensor to_tokens(const at::Tensor& x_thd, const std::vector<int64_t>& sizes, comm::Group& group);

// Of values [sizes[rank]] of each process all of them, of which the own ones keep their gradient: for what all compute
// alike from all.
at::Tensor all_values(const at::Tensor& own, const std::vector<int64_t>& sizes, comm::Group& group);

}  // namespace antiphon::nn
