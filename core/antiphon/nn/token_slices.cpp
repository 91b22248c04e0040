#include <antiphon/nn/token_slices.h>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <numeric>
#include <utility>

namespace antiphon::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

using Sizes = std::vector<int64_t>;

// Of a tensor's rows, those of each process.
std::vector<comm::Pieces> pieces_of(const at::Tensor& whole, const Sizes& sizes) {
  std::vector<comm::Pieces> all;
  for (const auto& piece : whole.split_with_sizes(sizes)) all.push_back({piece});
  return all;
}

at::Tensor with_rows(const at::Tensor& like, int64_t rows) {
  auto sizes = like.sizes().vec();
  sizes[0] = rows;
  return at::empty(sizes, like.options().requires_grad(false));
}

at::Tensor gathered(const at::Tensor& slice, const Sizes& sizes, comm::Group& group) {
  const auto whole = with_rows(slice, std::accumulate(sizes.begin(), sizes.end(), int64_t{0}));
  group.begin_gather({slice.detach().contiguous()}, pieces_of(whole, sizes))();
  return whole;
}

at::Tensor summed(const at::Tensor& x, const Sizes& sizes, comm::Group& group) {
  const auto own = with_rows(x, sizes[static_cast<size_t>(group.rank())]);
  group.begin_scatter_sum(pieces_of(x.detach().contiguous(), sizes), {own})();
  return own;
}

at::Tensor exchanged_to_heads(const at::Tensor& x, const Sizes& sizes, comm::Group& group) {
  std::vector<comm::Pieces> to, from;
  for (const auto& heads : x.detach().chunk(group.size(), 1)) to.push_back({heads.contiguous()});
  const auto all =
      at::empty({std::accumulate(sizes.begin(), sizes.end(), int64_t{0}), x.size(1) / group.size(), x.size(2)},
                x.options().requires_grad(false));
  group.begin_exchange(to, pieces_of(all, sizes))();
  return all;
}

at::Tensor exchanged_to_tokens(const at::Tensor& x, const Sizes& sizes, comm::Group& group) {
  const auto own = sizes[static_cast<size_t>(group.rank())];
  std::vector<comm::Pieces> from;
  for (int i = 0; i < group.size(); ++i)
    from.push_back({at::empty({own, x.size(1), x.size(2)}, x.options().requires_grad(false))});
  group.begin_exchange(pieces_of(x.detach().contiguous(), sizes), from)();
  std::vector<at::Tensor> heads;
  for (const auto& pieces : from) heads.push_back(pieces.front());
  return at::cat(heads, 1);
}

comm::Group& group_in(AutogradContext* context) {
  return *reinterpret_cast<comm::Group*>(context->saved_data["group"].toInt());
}

// An exchange whose backward is another one: how both divide the rows is the same.
using Exchange = at::Tensor (*)(const at::Tensor&, const Sizes&, comm::Group&);

template <Exchange there, Exchange back>
struct Crossing : torch::autograd::Function<Crossing<there, back>> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& /*any*/,
                            const Sizes& sizes, int64_t group) {
    context->saved_data["group"] = group, context->saved_data["sizes"] = sizes;
    return there(x, sizes, group_in(context));
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    return {back(grads[0], context->saved_data["sizes"].toIntVector(), group_in(context)), {}, {}, {}};
  }
};

template <Exchange there, Exchange back>
at::Tensor crossed(const at::Tensor& x, const Sizes& sizes, comm::Group& group, bool learns = false) {
  auto any = at::empty({0}, x.options().requires_grad(false));
  if (learns && at::GradMode::is_enabled()) any.set_requires_grad(true);
  return Crossing<there, back>::apply(x, any, sizes, reinterpret_cast<int64_t>(&group));
}

}  // namespace

Part part_of(int64_t all, int rank, int size) {
  const int64_t begin = all * rank / size;
  return {begin, all * (rank + 1) / size - begin};
}

Part kv_heads_of(int64_t all, int rank, int size) {
  return all < size ? Part{all * rank / size, 1} : part_of(all, rank, size);
}

std::vector<int64_t> counts_in(const at::Tensor& positions_n, const std::vector<int64_t>& sizes) {
  Sizes counts;
  const auto* begin = positions_n.const_data_ptr<int64_t>();
  const auto* end = begin + positions_n.size(0);
  int64_t slice_end = 0;
  for (const auto size : sizes) {
    const auto* next = std::lower_bound(begin, end, slice_end += size);
    counts.push_back(next - std::exchange(begin, next));
  }
  return counts;
}

Part TokenSlices::of_context(int64_t tokens, int context) const {
  const int in_context = count() / (contexts ? contexts->size() : 1);
  const auto begin = part_of(tokens, context * in_context, count()).begin;
  const auto last = part_of(tokens, (context + 1) * in_context - 1, count());
  return {begin, last.begin + last.size - begin};
}

std::vector<int64_t> TokenSlices::in_parts(int64_t tokens) const {
  const int size = parts ? parts->size() : 1;
  Sizes sizes;
  for (int i = 0; i < size; ++i) sizes.push_back(part_of(tokens, context() * size + i, count()).size);
  return sizes;
}

std::vector<int64_t> TokenSlices::in_contexts(int64_t tokens) const {
  Sizes sizes;
  for (int i = 0; i < (contexts ? contexts->size() : 1); ++i) sizes.push_back(of_context(tokens, i).size);
  return sizes;
}

std::vector<int64_t> TokenSlices::in_all(int64_t tokens) const {
  Sizes sizes;
  for (int i = 0; i < count(); ++i) sizes.push_back(part_of(tokens, i, count()).size);
  return sizes;
}

at::Tensor whole_tokens(const at::Tensor& slice, const std::vector<int64_t>& sizes, comm::Group& group) {
  return crossed<gathered, summed>(slice, sizes, group);
}

at::Tensor slice_of_sum(const at::Tensor& x, const std::vector<int64_t>& sizes, comm::Group& group, bool learns) {
  return crossed<summed, gathered>(x, sizes, group, learns);
}

at::Tensor to_heads(const at::Tensor& x_thd, const std::vector<int64_t>& sizes, comm::Group& group) {
  return crossed<exchanged_to_heads, exchanged_to_tokens>(x_thd, sizes, group);
}

at::Tensor to_tokens(const at::Tensor& x_thd, const std::vector<int64_t>& sizes, comm::Group& group) {
  return crossed<exchanged_to_tokens, exchanged_to_heads>(x_thd, sizes, group);
}

at::Tensor all_values(const at::Tensor& own, const std::vector<int64_t>& sizes, comm::Group& group) {
  auto pieces = gathered(own, sizes, group).split_with_sizes(sizes);
  pieces[static_cast<size_t>(group.rank())] = own;
  return at::cat(pieces);
}

}  // namespace antiphon::nn
