#include <antiphon/nn/blocks/expert_exchange.h>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <numeric>

namespace antiphon::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Sizes = std::vector<int64_t>;

struct RowExchange : torch::autograd::Function<RowExchange> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& rows, const Sizes& to, const Sizes& from,
                            int64_t group) {
    context->saved_data["to"] = to, context->saved_data["from"] = from, context->saved_data["group"] = group;
    return reinterpret_cast<comm::Group*>(group)->exchange(rows.detach().contiguous(), to, from);
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    auto* group = reinterpret_cast<comm::Group*>(context->saved_data["group"].toInt());
    return {group->exchange(grads[0].contiguous(), context->saved_data["from"].toIntVector(),
                            context->saved_data["to"].toIntVector()),
            {},
            {},
            {}};
  }
};

struct Wanting : torch::autograd::Function<Wanting> {
  static at::Tensor forward(AutogradContext*, const at::Tensor& x, const at::Tensor& /*any*/) { return x.view_as(x); }
  static variable_list backward(AutogradContext*, variable_list grads) { return {grads[0], at::Tensor()}; }
};

}  // namespace

ExpertExchange::ExpertExchange(const at::Tensor& counts_e, comm::Group& group) : group_(group) {
  const auto all = at::empty({group.size(), counts_e.size(0)}, at::kLong);  // of each process, for each expert
  group.gather(counts_e.to(at::kCPU, at::kLong).contiguous(), all);
  const auto own = part_of(counts_e.size(0), group.rank(), group.size());
  const auto rows_to = [&](int process, const Part& experts) {
    return all[process].narrow(0, experts.begin, experts.size).sum().item<int64_t>();
  };
  Sizes where(static_cast<size_t>(group.size()) + 1, 0);  // rows of each process begin, in what is received
  for (int process = 0; process < group.size(); ++process) {
    to_.push_back(rows_to(group.rank(), part_of(counts_e.size(0), process, group.size())));
    from_.push_back(rows_to(process, own));
    where[static_cast<size_t>(process) + 1] = where[static_cast<size_t>(process)] + from_.back();
  }
  std::vector<at::Tensor> order{at::empty({0}, at::kLong)};
  for (int64_t expert = own.begin; expert < own.begin + own.size; ++expert) {
    counts_.push_back(0);
    for (int process = 0; process < group.size(); ++process) {
      const auto count = all[process][expert].item<int64_t>();
      auto& begin = where[static_cast<size_t>(process)];
      order.push_back(at::arange(begin, begin + count, at::kLong));
      begin += count, counts_.back() += count;
    }
  }
  const auto by_expert = at::cat(order);
  by_expert_ = by_expert.to(counts_e.device());
  by_process_ = at::argsort(by_expert, /*stable=*/true, 0, /*descending=*/false).to(counts_e.device());
}

at::Tensor ExpertExchange::to_experts(const at::Tensor& rows_nd) const {
  return RowExchange::apply(rows_nd, to_, from_, reinterpret_cast<int64_t>(&group_)).index_select(0, by_expert_);
}

at::Tensor ExpertExchange::from_experts(const at::Tensor& rows_nd) const {
  return RowExchange::apply(rows_nd.index_select(0, by_process_), from_, to_, reinterpret_cast<int64_t>(&group_));
}

at::Tensor wanting_gradient(const at::Tensor& x) {
  if (!at::GradMode::is_enabled()) return x;
  return Wanting::apply(x, at::empty({0}, x.options().requires_grad(false)).set_requires_grad(true));
}

}  // namespace antiphon::nn
