// A flat hash map from a pair of token ids to the merge that joins them.
#pragma once
#include <cstdint>
#include <vector>

namespace antiphon::text {

struct MergeRule {
  uint32_t rank;
  int32_t result;
};

class PairMap {
 public:
  explicit PairMap(size_t count) {
    size_t capacity = 16;
    while (capacity < 2 * count) capacity *= 2;
    slots_.assign(capacity, {empty, {}});
  }
  void set(int32_t left, int32_t right, MergeRule rule) {
    auto& slot = slots_[find(key(left, right))];
    slot = {key(left, right), rule};
  }
  // The same, growing when it is full.
  void add(int32_t left, int32_t right, MergeRule rule) {
    if (2 * ++used_ > slots_.size()) {
      auto old = std::move(slots_);
      slots_.assign(2 * old.size(), {empty, {}});
      for (const auto& slot : old)
        if (slot.key != empty) slots_[find(slot.key)] = slot;
    }
    set(left, right, rule);
  }
  // Null if the two do not merge.
  const MergeRule* get(int32_t left, int32_t right) const {
    const auto& slot = slots_[find(key(left, right))];
    return slot.key == empty ? nullptr : &slot.rule;
  }

 private:
  struct Slot {
    uint64_t key;
    MergeRule rule;
  };
  static constexpr uint64_t empty = UINT64_MAX;
  static uint64_t key(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  size_t find(uint64_t wanted) const {
    const size_t mask = slots_.size() - 1;
    size_t at = (wanted * 0x9E3779B97F4A7C15ULL >> 20) & mask;
    while (slots_[at].key != empty && slots_[at].key != wanted) at = (at + 1) & mask;
    return at;
  }
  std::vector<Slot> slots_;
  size_t used_ = 0;
};

}  // namespace antiphon::text
