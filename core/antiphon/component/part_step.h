// How far the parts of a video lie apart.
#pragma once
#include <cstddef>
#include <cstdint>

namespace antiphon {

// `step` positions, or a step of another unit, of which `rate` positions are one: seconds, say.
struct PartStep {
  PartStep(double step = 1, double rate = 1) : step(step), rate(rate) {}
  double step, rate;
};

// How many positions a part begins behind the first. Each product is rounded to float32 before the last is cut, as
// transformers does, in this order: k · (25 · 0.7) and (k · 0.7) · 25 are not always the same position.
inline int64_t part_time(size_t part, const PartStep& of) {
  return static_cast<int64_t>(static_cast<float>(part) * static_cast<float>(of.step) * static_cast<float>(of.rate));
}

}  // namespace antiphon
