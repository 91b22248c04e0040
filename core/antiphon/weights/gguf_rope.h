// The factors by which Llama 3 divides its rotary frequencies, which GGUF files keep as a tensor.
// Source: transformers, modeling_rope_utils.py, _compute_llama3_parameters.
#pragma once
#include <cmath>
#include <cstdint>
#include <numbers>

namespace antiphon::weights {

struct RopeFactors {
  double factor, low = 1, high = 4, original = 8192;

  double at(double frequency) const {
    const double turns = original * frequency / (2 * std::numbers::pi);
    if (turns > high) return 1;
    if (turns < low) return factor;
    const double smooth = (turns - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
  }
};

// The i-th of `half` frequencies.
inline double rope_frequency(double theta, int64_t i, int64_t half) {
  return std::pow(theta, -static_cast<double>(i) / static_cast<double>(half));
}

}  // namespace antiphon::weights
