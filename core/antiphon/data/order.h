// The order in which samples are drawn: each source shuffled anew every epoch, sources blended by their weights.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace antiphon::data {

// Which sample is next: everything that resuming needs.
struct OrderState {
  std::vector<int64_t> drawn;  // samples drawn from each source so far, by all rows
  // What had been drawn when sizes or weights last changed: from there on the sources are blended as they are now.
  std::vector<int64_t> base = {};  // empty: nothing
  bool operator==(const OrderState&) const = default;
  int64_t draws() const;  // from all sources
};

struct Draw {
  size_t source = 0;
  int64_t index = 0;  // in the source
  int64_t epoch = 0;  // of that source
  OrderState before;  // the state that draws this one again
};

// What is drawn from, and how.
struct Sources {
  std::vector<int64_t> sizes;
  std::vector<double> weights;  // a source is drawn at a rate proportional to its size times its weight
  uint64_t seed = 0;
  bool shuffle = true;
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
  Draw next();
  // That of the next draw.
  const OrderState& state() const { return state_; }
  // `changed`: sizes or weights are others than before; the shares count from here on.
  void restore(OrderState state, bool changed = false);
  // Samples of one pass over all sources at these weights.
  int64_t epoch_size() const;

 private:
  friend std::vector<SampleOrder> orders_from(const std::shared_ptr<Permutations>&, int64_t, const OrderState&, bool);
  size_t due() const;
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
