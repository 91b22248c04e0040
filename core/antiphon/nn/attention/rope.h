// Rotary position embedding (Su et al. 2021), with the frequency scaling of Llama 3.1.
#pragma once
#include <ATen/core/Tensor.h>

#include <string>

namespace antiphon::nn {

// `type` "none", "linear" (positions divided by factor) or "llama3" (transformers: modeling_rope_utils.py,
// _compute_llama3_parameters: long wavelengths are divided by factor, short ones kept, those in between blended).
struct RopeScaling {
  std::string type = "none";
  double factor = 1.0;
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  int64_t original_max_positions = 8192;
};

// Angles of each token, computed once for all layers.
struct RopeTable {
  at::Tensor cos_td, sin_td;  // [tokens, rotary_size]
};

class Rope {
 public:
  // `rotary_size` is even: the leading part of a head that is rotated, or all of it.
  Rope(int64_t rotary_size, double theta, const RopeScaling& scaling);
  // positions [tokens] int64 -> the table, in `dtype` on the device of the positions.
  RopeTable table(const at::Tensor& positions_t, at::ScalarType dtype) const;

 private:
  mutable at::Tensor inverse_frequency_;  // [rotary_size / 2] float32; follows the positions to their device
};

// x [tokens, heads, head_size]; the first half of the rotary part pairs with the second ("rotate half"); what follows
// the rotary part is unchanged.
at::Tensor apply_rope(const at::Tensor& x_thd, const RopeTable& table);

}  // namespace antiphon::nn
