#include <antiphon/nn/blocks/expert_capacity.h>

#include <ATen/ATen.h>

#include <cmath>
#include <numeric>

namespace antiphon::nn {
namespace {

// Of all choices of a batch [n]: which are among the first `capacity` of their expert.
at::Tensor kept_of(const at::Tensor& chosen_n, const at::Tensor& weights_n, int64_t experts, int64_t capacity,
                   bool by_weight) {
  const auto n = chosen_n.numel();
  const auto stable = [](const at::Tensor& x, bool descending) {
    return at::argsort(x, /*stable=*/true, 0, descending);
  };
  auto order = by_weight ? stable(weights_n, true) : at::arange(n, chosen_n.options());
  order = order.index_select(0, stable(chosen_n.index_select(0, order), false));
  const auto sorted = chosen_n.index_select(0, order);
  const auto counts = at::bincount(chosen_n, {}, experts);
  const auto first = (counts.cumsum(0) - counts).index_select(0, sorted);
  const auto kept = at::arange(n, chosen_n.options()) - first < capacity;
  return at::empty_like(kept).index_copy_(0, order, kept);
}

// Rows of all processes in their order, and where this one's begin.
at::Tensor gathered(const at::Tensor& own, const std::vector<int64_t>& rows, comm::Group& group) {
  auto sizes = own.sizes().vec();
  sizes[0] = std::accumulate(rows.begin(), rows.end(), int64_t{0});
  const auto all = at::empty(sizes, own.options());
  std::vector<comm::Pieces> places;
  for (const auto& piece : all.split_with_sizes(rows)) places.push_back({piece});
  group.begin_gather({own.contiguous()}, places)();
  return all;
}

}  // namespace

at::Tensor within_capacity(const at::Tensor& chosen, const at::Tensor& weights, int64_t experts,
                           const CapacityOptions& options, comm::Group* slices) {
  if (chosen.is_meta()) return at::ones(chosen.sizes(), chosen.options().dtype(at::kBool));
  std::vector<int64_t> rows{chosen.size(0)};
  auto all_chosen = chosen, all_weights = weights.detach();
  int64_t begin = 0;
  if (slices) {
    const auto own = at::tensor({chosen.size(0)}, at::kLong), all = at::empty({slices->size(), 1}, at::kLong);
    slices->gather(own, all);
    const auto* first = all.const_data_ptr<int64_t>();
    rows.assign(first, first + slices->size());
    begin = std::accumulate(rows.begin(), rows.begin() + slices->rank(), int64_t{0});
    all_chosen = gathered(all_chosen, rows, *slices), all_weights = gathered(all_weights, rows, *slices);
  }
  const auto each = static_cast<double>(all_chosen.numel()) / static_cast<double>(experts);
  const auto capacity = static_cast<int64_t>(std::ceil(options.factor * each));
  const auto kept = kept_of(all_chosen.view(-1), all_weights.view(-1), experts, capacity, options.by_weight);
  return kept.view(all_chosen.sizes()).narrow(0, begin, chosen.size(0));
}

}  // namespace antiphon::nn
