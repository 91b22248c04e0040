#include <antiphon/nn/blocks/moe.h>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/custom_function.h>

#include <antiphon/base/error.h>
#include <antiphon/component/training_pass.h>

namespace antiphon::nn {
namespace {

using torch::autograd::AutogradContext, torch::autograd::variable_list;

struct Held : torch::CustomClassHolder {
  std::shared_ptr<const LoadBalance> balance;
};

// y as it is. The backward pass comes after the forward passes of all layers, so the sums over them are known then.
struct Attach : torch::autograd::Function<Attach> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& y, const at::Tensor& probabilities,
                            const c10::intrusive_ptr<Held>& held) {
    context->saved_data["held"] = c10::IValue::make_capsule(held);
    context->saved_data["tokens"] = probabilities.size(0);
    return y.view_as(y);
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto held = c10::static_intrusive_pointer_cast<Held>(context->saved_data["held"].toCapsule());
    const auto tokens = context->saved_data["tokens"].toInt();
    return {grads[0], held->balance->gradient().unsqueeze(0).expand({tokens, -1}), at::Tensor()};
  }
};

}  // namespace

LoadBalance::LoadBalance(int64_t experts, double scale) : experts_(experts), scale_(scale) {}

at::Tensor LoadBalance::attached(const at::Tensor& y, const at::Tensor& probabilities, const at::Tensor& counts,
                                 bool count) {
  if (count) {
    const auto sum = probabilities.detach().sum(0);
    chosen_ = chosen_.defined() ? chosen_ + counts : counts.to(at::kFloat);
    probability_ = probability_.defined() ? probability_ + sum : sum;
    tokens_ += static_cast<double>(probabilities.size(0));
  }
  auto held = c10::make_intrusive<Held>();
  held->balance = shared_from_this();
  return Attach::apply(y, probabilities, held);
}

double LoadBalance::value() const {
  if (!chosen_.defined()) return 0;
  return static_cast<double>(experts_) * (chosen_ * probability_).sum().item<double>() / (tokens_ * tokens_);
}

at::Tensor LoadBalance::gradient() const {
  return chosen_ * (scale_ * static_cast<double>(experts_) / (tokens_ * tokens_));
}

// What goes where: assignments of tokens to experts, ordered by expert.
struct MixtureOfExperts::Routes {
  at::Tensor probabilities_te, counts_e;  // float32; int64
  at::Tensor tokens_n, weights_n;         // of each assignment: its token, int64, and its share
};

MixtureOfExperts::MixtureOfExperts(int64_t hidden_size, const std::string& activation, const MoeOptions& options)
    : options_(options) {
  if (options.top_k < 1 || options.top_k > options.experts)
    fail(ErrorKind::config,
         fmt::format("{} of {} experts cannot be chosen for a token", options.top_k, options.experts),
         "choose from 1 to as many as there are");
  add("gate.weight", gate_, {options.experts, hidden_size}, Init::normal_002, Role::matrix);
  for (int64_t i = 0; i < options.experts; ++i) {
    experts_.push_back(std::make_unique<BlockMlp>(BlockMlpOptions{hidden_size, options.intermediate_size, activation}));
    add(fmt::format("experts.{}", i), *experts_.back());
    for (auto& site : experts_.back()->sites())
      site.linear->share = static_cast<double>(options.top_k) / static_cast<double>(options.experts);
  }
}

MixtureOfExperts::Routes MixtureOfExperts::route(const at::Tensor& x_td) const {
  Routes routes;
  routes.probabilities_te = at::softmax(nn::linear(x_td, like(gate_, x_td), at::Tensor()).to(at::kFloat), -1);
  auto [weights, chosen] = at::topk(routes.probabilities_te, options_.top_k, -1);
  if (options_.normalize) weights = weights / weights.sum(-1, /*keepdim=*/true);
  const auto flat = chosen.view(-1);
  const auto order = at::argsort(flat, /*stable=*/true, 0, /*descending=*/false);
  routes.counts_e = at::bincount(flat, {}, options_.experts);
  routes.tokens_n = at::floor_divide(order, options_.top_k);
  routes.weights_n = weights.reshape(-1).index_select(0, order);
  if (!options_.wide_shares) routes.weights_n = routes.weights_n.to(x_td.scalar_type());
  return routes;
}

at::Tensor MixtureOfExperts::compute(const at::Tensor& x_td, const Routes& routes) const {
  const auto counts = routes.counts_e.cpu();
  const auto* count = counts.const_data_ptr<int64_t>();
  const auto sent = x_td.index_select(0, routes.tokens_n);
  std::vector<at::Tensor> out;
  int64_t begin = 0;
  for (size_t i = 0; i < experts_.size(); ++i) {
    // In training an expert without tokens gets a gradient of zeros, so that optimizers treat it as the others.
    const bool learns = at::GradMode::is_enabled() && experts_[i]->up.weight.requires_grad();
    if (count[i] > 0 || learns) out.push_back(experts_[i]->forward(sent.narrow(0, begin, count[i])));
    begin += count[i];
  }
  const auto weighted = (at::cat(out) * routes.weights_n.unsqueeze(1)).to(x_td.scalar_type());
  return at::zeros_like(x_td).index_add(0, routes.tokens_n, weighted);
}

at::Tensor MixtureOfExperts::forward(const at::Tensor& x_td, int64_t padding,
                                     const std::shared_ptr<LoadBalance>& balance) const {
  const int64_t tokens = x_td.size(0) - padding;
  if (tokens == 0) return at::zeros_like(x_td);
  const auto x = x_td.narrow(0, 0, tokens);
  const auto routes = route(x);
  auto y = compute(x, routes);
  if (balance) y = balance->attached(y, routes.probabilities_te, routes.counts_e, !TrainingPass::again());
  return padding ? at::cat({y, at::zeros({padding, y.size(1)}, y.options())}) : y;
}

}  // namespace antiphon::nn
