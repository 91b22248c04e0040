#include <antiphon/data/order.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <utility>

namespace antiphon::data {
namespace {

// Rows drift apart by less than an epoch, so at most this many are in use at once.
constexpr size_t kEpochsKept = 2;

std::vector<int64_t> permutation(const Sources& sources, size_t source, int64_t epoch) {
  std::vector<int64_t> order(static_cast<size_t>(sources.sizes[source]));
  std::iota(order.begin(), order.end(), 0);
  std::seed_seq seeds{sources.seed & 0xffffffffu, sources.seed >> 32, static_cast<uint64_t>(source),
                      static_cast<uint64_t>(epoch)};
  std::mt19937_64 random(seeds);
  // Written out, since std::shuffle may differ between standard libraries and a run must not.
  for (size_t i = order.size(); sources.shuffle && i > 1; --i) std::swap(order[i - 1], order[random() % i]);
  return order;
}

}  // namespace

int64_t OrderState::draws() const { return std::reduce(drawn.begin(), drawn.end()) + over; }

std::vector<double> rates_of(const std::vector<int64_t>& sizes, const std::vector<double>& weights,
                             const Blend& blend) {
  std::vector<double> rates(sizes.size(), 1);
  if (blend.kind == Blend::Kind::in_turn) return rates;
  for (size_t i = 0; i < sizes.size(); ++i) {
    rates[i] = weights[i];
    if (blend.kind == Blend::Kind::by_weight) continue;
    const auto size = static_cast<double>(sizes[i]);
    rates[i] *= blend.temperature == 1 ? size : std::pow(size, 1 / blend.temperature);
  }
  return rates;
}

int64_t Sources::limit(size_t source) const {
  const int64_t passes = source < epochs.size() ? epochs[source] : 0;
  return passes > 0 ? passes * sizes[source] : std::numeric_limits<int64_t>::max();
}

Permutations::Permutations(Sources sources)
    : sources_(std::move(sources)), known_(sources_.sizes.size(), std::vector<Known>(kEpochsKept)) {}

Permutations::Permutation Permutations::of(size_t source, int64_t epoch) {
  if (!sources_.shuffle) epoch = 0;
  auto& known = known_[source][static_cast<size_t>(epoch) % kEpochsKept];
  auto order = known.epoch == epoch ? known.order.lock() : nullptr;
  if (order) return order;
  order = std::make_shared<const std::vector<int64_t>>(permutation(sources_, source, epoch));
  known = {epoch, order};
  return order;
}

SampleOrder::SampleOrder(std::shared_ptr<Permutations> permutations, int64_t row, int64_t rows)
    : permutations_(std::move(permutations)), row_(row), rows_(rows) {
  const auto sources = permutations_->sources().sizes.size();
  state_.drawn.assign(sources, 0);
  current_.resize(sources), epochs_.assign(sources, -1);
  skip_to_own();
}

SampleOrder::SampleOrder(std::vector<int64_t> sizes, std::vector<double> weights, uint64_t seed, bool shuffle)
    : SampleOrder(std::make_shared<Permutations>(Sources{sizes, rates_of(sizes, weights), seed, shuffle}), 0, 1) {}

// The source whose next sample is due first, of those that have not ended.
std::optional<size_t> SampleOrder::due() const {
  const auto& sources = permutations_->sources();
  std::optional<size_t> best;
  double best_due = 0;
  for (size_t i = 0; i < sources.sizes.size(); ++i) {
    if (state_.drawn[i] >= sources.limit(i)) continue;
    const int64_t drawn = state_.drawn[i] - (state_.base.empty() ? 0 : state_.base[i]);
    const double due = (static_cast<double>(drawn) + 0.5) / sources.rates[i];
    if (!best || due < best_due) best = i, best_due = due;
  }
  return best;
}

void SampleOrder::skip_to_own() {
  if (state_.drawn.empty()) return;
  int64_t skipped = (row_ - state_.draws() % rows_ + rows_) % rows_;
  if (state_.drawn.size() == 1) {
    const auto some = std::clamp<int64_t>(permutations_->sources().limit(0) - state_.drawn[0], 0, skipped);
    state_.drawn[0] += some, skipped -= some;
  }
  for (; skipped > 0; --skipped)
    if (const auto source = due())
      ++state_.drawn[*source];
    else
      ++state_.over;
}

std::optional<Draw> SampleOrder::next() {
  const auto found = due();
  if (!found) return std::nullopt;
  const auto source = *found;
  const int64_t size = permutations_->sources().sizes[source];
  Draw draw{source, 0, state_.drawn[source] / size, state_, {}};
  if (epochs_[source] != draw.epoch)
    current_[source] = permutations_->of(source, draw.epoch), epochs_[source] = draw.epoch;
  draw.index = (*current_[source])[static_cast<size_t>(state_.drawn[source] % size)];
  ++state_.drawn[source];
  skip_to_own();
  draw.after = state_;
  return draw;
}

void SampleOrder::restore(OrderState state, bool changed) {
  state_ = std::move(state);
  if (changed) state_.base = state_.drawn, state_.over = 0;
  skip_to_own();
}

std::vector<SampleOrder> orders_from(const std::shared_ptr<Permutations>& permutations, int64_t rows,
                                     const OrderState& state, bool changed) {
  auto from = state;
  if (changed) from.over = 0;
  const int64_t first = from.draws() % rows;
  SampleOrder order(permutations, first, rows);
  order.restore(std::move(from), changed);
  std::vector<SampleOrder> all(static_cast<size_t>(rows), order);
  for (int64_t i = 1; i < rows; ++i) {
    order.row_ = (first + i) % rows;
    order.skip_to_own();
    all[static_cast<size_t>(order.row_)] = order;
  }
  return all;
}

}  // namespace antiphon::data
