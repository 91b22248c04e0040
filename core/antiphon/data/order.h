// The order in which samples are drawn: each source shuffled anew every epoch, sources blended by their weights.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace antiphon::data {

// Which sample is next: everything that resuming needs.
struct OrderState {
  std::vector<int64_t> drawn;  // samples drawn from each source so far
  // What had been drawn when sizes or weights last changed: from there on the sources are blended as they are now.
  std::vector<int64_t> base = {};  // empty: nothing
  bool operator==(const OrderState&) const = default;
};

struct Draw {
  size_t source = 0;
  int64_t index = 0;  // in the source
  int64_t epoch = 0;  // of that source
  OrderState before;  // the state that draws this one again
};

class SampleOrder {
 public:
  // A source of `sizes[i]` samples is drawn at a rate proportional to sizes[i] * weights[i].
  SampleOrder(std::vector<int64_t> sizes, std::vector<double> weights, uint64_t seed, bool shuffle);
  Draw next();
  const OrderState& state() const { return state_; }
  // `changed`: sizes or weights are others than before; the shares count from here on.
  void restore(OrderState state, bool changed = false);
  // Samples of one pass over all sources at these weights.
  int64_t epoch_size() const;

 private:
  const std::vector<int64_t>& permutation(size_t source, int64_t epoch);
  std::vector<int64_t> sizes_;
  std::vector<double> weights_;
  uint64_t seed_;
  bool shuffle_;
  OrderState state_;
  std::vector<std::vector<int64_t>> permutations_;
  std::vector<int64_t> permutation_epochs_;
};

}  // namespace antiphon::data
