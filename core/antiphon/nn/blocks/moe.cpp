#include <antiphon/nn/blocks/moe.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/component/training_pass.h>
#include <antiphon/nn/blocks/expert_exchange.h>
#include <antiphon/nn/token_slices.h>

#include <algorithm>

namespace antiphon::nn {

// What goes where: assignments of tokens to experts, ordered by expert.
struct MixtureOfExperts::Routes {
  at::Tensor logits_te, probabilities_te, chosen_e;  // float32; how often each expert was chosen, int64
  at::Tensor tokens_n, weights_n;                    // of each assignment: its token, int64, and its share
  at::Tensor counts_e;                               // assignments of each expert, int64: those that were not dropped
  at::Tensor dropped;                                // [1] float32: how many were; undefined: none can be
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
      site.linear->has_own_rows = true,
      site.linear->share = static_cast<double>(options.top_k) / static_cast<double>(options.experts);
  }
  if (options.shared_size == 0) return;
  shared_ = std::make_unique<BlockMlp>(BlockMlpOptions{hidden_size, options.shared_size, activation});
  add("shared_expert", *shared_);
  for (auto& site : shared_->sites()) site.linear->has_own_rows = true;  // without padding
  add("shared_expert_gate.weight", shared_gate_, {1, hidden_size}, Init::normal_002, Role::matrix);
}

namespace {

// How many of the assignments are of each expert; of those that have no values, as many of each as can be.
at::Tensor counts_of(const at::Tensor& chosen, int64_t experts) {
  if (!chosen.is_meta()) return at::bincount(chosen, {}, experts);
  auto counts = at::empty({experts}, at::kLong);
  for (int64_t i = 0; i < experts; ++i)
    counts[i] = part_of(chosen.numel(), static_cast<int>(i), static_cast<int>(experts)).size;
  return counts;
}

}  // namespace

MixtureOfExperts::Routes MixtureOfExperts::route(const at::Tensor& x_td) const {
  Routes routes;
  routes.logits_te = nn::linear(x_td, like(gate_, x_td), at::Tensor()).to(at::kFloat);
  routes.probabilities_te = at::softmax(routes.logits_te, -1);
  auto [weights, chosen] = at::topk(routes.probabilities_te, options_.top_k, -1);
  if (options_.normalize) weights = weights / weights.sum(-1, /*keepdim=*/true);
  const auto flat = chosen.view(-1);
  const auto order = at::argsort(flat, /*stable=*/true, 0, /*descending=*/false);
  routes.chosen_e = routes.counts_e = counts_of(flat, options_.experts);
  routes.tokens_n = at::floor_divide(order, options_.top_k);
  routes.weights_n = weights.reshape(-1).index_select(0, order);
  if (!options_.wide_shares) routes.weights_n = routes.weights_n.to(x_td.scalar_type());
  if (options_.capacity.factor > 0 && TrainingPass::now()) drop(routes, chosen, weights, order);
  return routes;
}

// The shares of what is left stay as they are.
void MixtureOfExperts::drop(Routes& routes, const at::Tensor& chosen, const at::Tensor& weights,
                            const at::Tensor& order) const {
  const auto kept = within_capacity(chosen, weights, options_.experts, options_.capacity, slices_).reshape(-1);
  routes.dropped = kept.bitwise_not().sum().to(at::kFloat).view({1});
  if (kept.is_meta()) return;
  const auto left = kept.index_select(0, order).nonzero().view(-1);
  routes.tokens_n = routes.tokens_n.index_select(0, left), routes.weights_n = routes.weights_n.index_select(0, left);
  routes.counts_e = at::bincount(chosen.view(-1).index_select(0, kept.nonzero().view(-1)), {}, options_.experts);
}

namespace {

bool learns(const BlockMlp& expert) {
  const auto of = [](const Linear& linear) { return linear.weight.requires_grad() || !linear.adapters.empty(); };
  return of(expert.up) || of(expert.down) || (expert.gate && of(*expert.gate));
}

}  // namespace

// Rows in the order of experts, of which `first` is the first that gets any.
at::Tensor MixtureOfExperts::through_experts(const at::Tensor& rows_nd, size_t first,
                                             const std::vector<int64_t>& counts) const {
  std::vector<at::Tensor> out;
  int64_t begin = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    const auto& expert = *experts_[first + i];
    // In training an expert without tokens gets a gradient of zeros, so that optimizers treat it as the others.
    if (counts[i] > 0 || (at::GradMode::is_enabled() && learns(expert)))
      out.push_back(expert.forward(rows_nd.narrow(0, begin, counts[i])));
    begin += counts[i];
  }
  return out.empty() ? rows_nd : at::cat(out);
}

at::Tensor MixtureOfExperts::compute(const at::Tensor& x_td, const Routes& routes) const {
  const auto sent = x_td.index_select(0, routes.tokens_n);
  at::Tensor out;
  if (group_) {
    const ExpertExchange exchange(routes.counts_e, *group_);
    const auto first = static_cast<size_t>(part_of(options_.experts, group_->rank(), group_->size()).begin);
    auto given = through_experts(exchange.to_experts(sent), first, exchange.counts());
    // Adapters may be on some experts only, and the gradients of those come back from every process.
    if (std::ranges::any_of(experts_, [](const auto& expert) { return learns(*expert); }))
      given = wanting_gradient(given);
    out = exchange.from_experts(given);
  } else {
    const auto counts = routes.counts_e.cpu();
    const auto* count = counts.const_data_ptr<int64_t>();
    out = through_experts(sent, 0, {count, count + counts.size(0)});
  }
  const auto weighted = (out * routes.weights_n.unsqueeze(1)).to(x_td.scalar_type());
  return at::zeros_like(x_td).index_add(0, routes.tokens_n, weighted);
}

void MixtureOfExperts::share(comm::Group& group, comm::Group* slices) {
  group_ = &group, slices_ = slices;
  if (shared_)
    for (const auto& site : shared_->sites()) site.linear->together = slices;
  const auto own = part_of(options_.experts, group.rank(), group.size());
  for (int64_t i = 0; i < options_.experts; ++i) {
    auto& expert = *experts_[static_cast<size_t>(i)];
    const bool keeps = i >= own.begin && i < own.begin + own.size;
    for (const auto& site : expert.sites())
      for (const auto& adapter : site.linear->adapters) adapter->keep(keeps);
    expert.keep(keeps);
  }
}

at::Tensor MixtureOfExperts::of_shared(const at::Tensor& x_td) const {
  return nn::linear(x_td, like(shared_gate_, x_td)).sigmoid() * shared_->forward(x_td);
}

at::Tensor MixtureOfExperts::forward(const at::Tensor& x_td, int64_t padding,
                                     const std::shared_ptr<RouterLosses>& losses) const {
  const int64_t tokens = x_td.size(0) - padding;
  if (tokens == 0 && !group_) return at::zeros_like(x_td);  // with others, this process may have their tokens' experts
  const auto x = x_td.narrow(0, 0, tokens);
  const auto routes = route(x);
  auto y = compute(x, routes);
  if (shared_) y = y + of_shared(x);
  const bool again = TrainingPass::again();
  if (losses) y = losses->attached(y, routes.logits_te, routes.probabilities_te, routes.chosen_e, again);
  if (losses && routes.dropped.defined() && !again) losses->dropped(routes.dropped, tokens * options_.top_k);
  return padding ? at::cat({y, at::zeros({padding, y.size(1)}, y.options())}) : y;
}

}  // namespace antiphon::nn
