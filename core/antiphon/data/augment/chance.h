// Random numbers of one kind of change: written out, since the distributions of standard libraries differ.
#pragma once
#include <antiphon/base/mixed.h>

#include <random>

namespace antiphon::data {

class Chance {
 public:
  // Kinds draw from numbers of their own, so that one that is turned off changes nothing in others.
  Chance(uint64_t seed, uint64_t kind) : random_(mixed(seed, kind)) {}
  double between(double least, double most) {
    constexpr double kStep = 1.0 / (uint64_t{1} << 53);
    return least + (most - least) * static_cast<double>(random_() >> 11) * kStep;
  }
  // Both ends included.
  int64_t whole(int64_t least, int64_t most) {
    return least + static_cast<int64_t>(random_() % static_cast<uint64_t>(most - least + 1));
  }
  bool happens(double probability) { return between(0, 1) < probability; }

 private:
  std::mt19937_64 random_;
};

}  // namespace antiphon::data
