// The order in which samples are drawn: each source shuffled anew every epoch, sources blended at their rates.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace antiphon::data {

// Which sample is next: everything that resuming needs.
struct OrderState {
  std::vector<int64_t> drawn;  // samples drawn from each source so far, by all rows
  // What had been drawn when sizes or weights last changed: from there on the sources are blended as they are now.
  std::vector<int64_t> base = {};  // empty: nothing
  int64_t over = 0;                // draws that there would have been beyond the end of all sources, counted on
  bool operator==(const OrderState&) const = default;
  int64_t draws() const;  // from all sources, and beyond them
};

struct Draw {
  size_t source = 0;
  int64_t index = 0;  // in the source
  int64_t epoch = 0;  // of that source
  OrderState before;  // the state that draws this one again
  OrderState after;   // the state that draws the row's next one
};

// How sources are blended, by their sizes n and weights w: each is drawn at a rate proportional to w * n^(1 / T); to w
// alone (Energon's and Lhotse's weights, the probabilities of NeMo's ConcatDataset); or, in turn, all at one rate. T =
// 1: by size; T > 1: small sources more often than that (mT5, arXiv 2010.11934, section 3.1; NeMo's ConcatDataset).
struct Blend {
  enum class Kind { by_size, by_weight, in_turn };
  Kind kind = Kind::by_size;
  double temperature = 1;  // of by_size
};
std::vector<double> rates_of(const std::vector<int64_t>& sizes, const std::vector<double>& weights,
                             const Blend& blend = {});

// What is drawn from, and how.
struct Sources {
  std::vector<int64_t> sizes;
  std::vector<double> rates;
  uint64_t seed = 0;
  bool shuffle = true;
  std::vector<int64_t> epochs = {};  // of each source, after which it has ended; 0 or no entry: it has no end
  // Draws until it has ended; the largest number if it has no end.
  int64_t limit(size_t source) const;
};

// Each epoch of each source in its order. Kept as long as an order uses it, so that several share one.
class Permutations {
 public:
  using Permutation = std::shared_ptr<const std::vector<int64_t>>;
  explicit Permutations(Sources sources);
  const Sources& sources() const { return sources_; }
  Permutation of(size_t source, int64_t epoch);

 private:
  struct Known {
    int64_t epoch = -1;
    std::weak_ptr<const std::vector<int64_t>> order;
  };
  Sources sources_;
  std::vector<std::vector<Known>> known_;  // of each source, by epoch modulo the number of places
};

class SampleOrder {
 public:
  // Of all draws, counted from 0, those whose number is `row` modulo `rows`.
  SampleOrder(std::shared_ptr<Permutations> permutations, int64_t row, int64_t rows);
  SampleOrder(std::vector<int64_t> sizes, std::vector<double> weights, uint64_t seed, bool shuffle);
  // Nothing once all sources have ended.
  std::optional<Draw> next();
  // That of the next draw.
  const OrderState& state() const { return state_; }
  // `changed`: sizes or weights are others than before; the shares count from here on.
  void restore(OrderState state, bool changed = false);

 private:
  friend std::vector<SampleOrder> orders_from(const std::shared_ptr<Permutations>&, int64_t, const OrderState&, bool);
  std::optional<size_t> due() const;
  void skip_to_own();
  std::shared_ptr<Permutations> permutations_;
  int64_t row_, rows_;
  OrderState state_;
  std::vector<Permutations::Permutation> current_;  // of each source
  std::vector<int64_t> epochs_;                     // that these are of
};

// The orders of all rows from a state on: its draw is the first of the row that it belongs to, the one after it that of
// the next row. `changed` as in restore().
std::vector<SampleOrder> orders_from(const std::shared_ptr<Permutations>& permutations, int64_t rows,
                                     const OrderState& state, bool changed);

}  // namespace antiphon::data
