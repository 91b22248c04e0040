#include <antiphon/nn/token_slices.h>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

namespace antiphon::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

comm::Pieces pieces_of(const at::Tensor& whole, const comm::Group& group, int rank) {
  const auto [begin, size] = part_of(whole.size(0), rank, group.size());
  return {whole.narrow(0, begin, size)};
}

std::vector<comm::Pieces> pieces_of(const at::Tensor& whole, const comm::Group& group) {
  std::vector<comm::Pieces> all;
  for (int rank = 0; rank < group.size(); ++rank) all.push_back(pieces_of(whole, group, rank));
  return all;
}

at::Tensor gathered(const at::Tensor& slice, int64_t tokens, comm::Group& group) {
  auto sizes = slice.sizes().vec();
  sizes[0] = tokens;
  const auto whole = at::empty(sizes, slice.options().requires_grad(false));
  group.begin_gather({slice.detach().contiguous()}, pieces_of(whole, group))();
  return whole;
}

at::Tensor summed(const at::Tensor& x, comm::Group& group) {
  const auto parts = pieces_of(x.detach().contiguous(), group);
  const auto own = at::empty(parts[static_cast<size_t>(group.rank())][0].sizes(), x.options().requires_grad(false));
  group.begin_scatter_sum(parts, {own})();
  return own;
}

comm::Group& group_in(AutogradContext* context) {
  return *reinterpret_cast<comm::Group*>(context->saved_data["group"].toInt());
}

struct WholeTokens : torch::autograd::Function<WholeTokens> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& slice, int64_t tokens, int64_t group) {
    context->saved_data["group"] = group;
    return gathered(slice, tokens, group_in(context));
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    return {summed(grads[0], group_in(context)), {}, {}};
  }
};

struct SliceOfSum : torch::autograd::Function<SliceOfSum> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& /*any*/, int64_t group) {
    context->saved_data["group"] = group, context->saved_data["tokens"] = x.size(0);
    return summed(x, group_in(context));
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    return {gathered(grads[0], context->saved_data["tokens"].toInt(), group_in(context)), {}, {}};
  }
};

}  // namespace

Part part_of(int64_t all, int rank, int size) {
  const int64_t begin = all * rank / size;
  return {begin, all * (rank + 1) / size - begin};
}

at::Tensor whole_tokens(const at::Tensor& slice, int64_t tokens, comm::Group& group) {
  return WholeTokens::apply(slice, tokens, reinterpret_cast<int64_t>(&group));
}

at::Tensor slice_of_sum(const at::Tensor& x, comm::Group& group, bool learns) {
  auto any = at::empty({0}, x.options().requires_grad(false));
  if (learns && at::GradMode::is_enabled()) any.set_requires_grad(true);
  return SliceOfSum::apply(x, any, reinterpret_cast<int64_t>(&group));
}

}  // namespace antiphon::nn
