#include <antiphon/data/order.h>

#include <numeric>
#include <random>

namespace antiphon::data {

SampleOrder::SampleOrder(std::vector<int64_t> sizes, std::vector<double> weights, uint64_t seed, bool shuffle)
    : sizes_(std::move(sizes)),
      weights_(std::move(weights)),
      seed_(seed),
      shuffle_(shuffle),
      permutations_(sizes_.size()),
      permutation_epochs_(sizes_.size(), -1) {
  state_.drawn.assign(sizes_.size(), 0);
}

Draw SampleOrder::next() {
  size_t best = 0;
  double best_due = 0;
  for (size_t i = 0; i < sizes_.size(); ++i) {  // the source whose next sample is due first
    const int64_t drawn = state_.drawn[i] - (state_.base.empty() ? 0 : state_.base[i]);
    const double due = (static_cast<double>(drawn) + 0.5) / (weights_[i] * static_cast<double>(sizes_[i]));
    if (i == 0 || due < best_due) best = i, best_due = due;
  }
  Draw draw{best, 0, state_.drawn[best] / sizes_[best], state_};
  draw.index = permutation(best, draw.epoch)[static_cast<size_t>(state_.drawn[best] % sizes_[best])];
  ++state_.drawn[best];
  return draw;
}

void SampleOrder::restore(OrderState state, bool changed) {
  state_ = std::move(state);
  if (changed) state_.base = state_.drawn;
}

int64_t SampleOrder::epoch_size() const {
  double total = 0;
  for (size_t i = 0; i < sizes_.size(); ++i) total += weights_[i] * static_cast<double>(sizes_[i]);
  return static_cast<int64_t>(total);
}

const std::vector<int64_t>& SampleOrder::permutation(size_t source, int64_t epoch) {
  auto& order = permutations_[source];
  if (permutation_epochs_[source] == epoch) return order;
  order.resize(static_cast<size_t>(sizes_[source]));
  std::iota(order.begin(), order.end(), 0);
  std::seed_seq seeds{seed_ & 0xffffffffu, seed_ >> 32, static_cast<uint64_t>(source), static_cast<uint64_t>(epoch)};
  std::mt19937_64 random(seeds);
  // Written out, since std::shuffle may differ between standard libraries and a run must not.
  for (size_t i = order.size(); shuffle_ && i > 1; --i) std::swap(order[i - 1], order[random() % i]);
  permutation_epochs_[source] = epoch;
  return order;
}

}  // namespace antiphon::data
