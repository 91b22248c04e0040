// Rotary position embedding (Su et al. 2021), with the frequency scalings of Llama 3.1, YaRN, LongRoPE and dynamic NTK,
// over one or several axes.
#pragma once
#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace antiphon::nn {

// `type` "none", "linear" (positions divided by factor) or "llama3" (transformers: modeling_rope_utils.py,
// _compute_llama3_parameters: long wavelengths are divided by factor, short ones kept, those in between blended),
// "yarn" (Peng et al. 2023; there _compute_yarn_parameters: frequencies that turn more than `beta_fast` times within
// the original positions are kept, those that turn less than `beta_slow` times divided by factor, those in between
// blended, between whole numbers of frequencies if `truncate`; cos and sin are multiplied), "longrope" (Ding et al.
// 2024; there _compute_longrope_parameters: each frequency is divided by a factor of its own, of `long_factors` in
// texts of more positions than the original ones; cos and sin are multiplied), or "dynamic" (there
// _compute_dynamic_ntk_parameters: in texts of n positions, more than the original ones, theta is multiplied by
// (1 + factor (n / original - 1))^(r / (r - 2)), of r values that are turned).
struct RopeScaling {
  std::string type = "none";
  double factor = 1.0;
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  int64_t original_max_positions = 8192;
  std::vector<double> short_factors = {}, long_factors = {};  // longrope: one for each frequency
  double table_multiplier = 1;                                // yarn, longrope: of cos and sin
  double beta_fast = 32, beta_slow = 1;                       // yarn
  bool truncate = true;                                       // yarn
};

// Angles of each token, computed once for all layers.
struct RopeTable {
  at::Tensor cos_td, sin_td;           // [tokens, rotary_size]
  at::Tensor query_multiplier_t = {};  // [tokens], of queries that depend on where they are; undefined: none
};

class Rope {
 public:
  // `rotary_size` is even: the leading part of a head that is rotated, or all of it. `axes`: for each of the
  // rotary_size / 2 frequencies the axis whose position it turns by; none: there is one axis. Error(config) for
  // "dynamic" with several axes, or with one frequency.
  Rope(int64_t rotary_size, double theta, const RopeScaling& scaling, const std::vector<int64_t>& axes = {});
  // Of patches by row and column: each has the frequencies of a head of half the size, first those of the row
  // (transformers: models/qwen2_vl, Qwen2VLVisionRotaryEmbedding); or, if `interleaved`, the frequencies of a whole
  // head are dealt out in turn (models/pixtral, PixtralVisionRotaryEmbedding). `head_size` is a multiple of four.
  static Rope of_grid(int64_t head_size, double theta, bool interleaved = false);
  // positions [axes, tokens] int64 -> the table, in `dtype` on the device of the positions. Error(internal) for another
  // number of axes.
  // `last_t` [tokens] int64, on their device: where the last token of each token's text is, on which longrope and
  // dynamic depend.
  int64_t axes() const { return axes_; }
  bool needs_last() const { return long_inverse_frequency_.defined() || exponents_.defined(); }
  RopeTable table(const at::Tensor& positions_at, at::ScalarType dtype, const at::Tensor& last_t = {}) const;

 private:
  at::Tensor positions_of_frequencies(const at::Tensor& positions_at) const;
  at::Tensor frequencies(const at::Tensor& last_t) const;
  at::Tensor dynamic_frequencies(const at::Tensor& last_t) const;
  // [rotary_size / 2] float32, of theta's exponents too, and int64; they follow the positions to their device.
  mutable at::Tensor inverse_frequency_, long_inverse_frequency_, exponents_, axis_of_frequency_;
  int64_t axes_ = 1, long_from_ = 0;
  double multiplier_ = 1, theta_ = 0, factor_ = 1, power_ = 1;
};

// The axes of the frequencies if they are cut into sections of these lengths, of which the i-th takes axis i mod
// `axes`: M-RoPE of Qwen2-VL (Wang et al. 2024; transformers: models/qwen2_vl, Qwen2VLRotaryEmbedding).
std::vector<int64_t> axes_of_sections(const std::vector<int64_t>& sections, int64_t axes);

// The axes if they take turns: the i-th frequency takes axis i mod the number of sections, up to as many for each axis
// as its section says, and what is left takes the first. Interleaved M-RoPE of Qwen3-VL (Bai et al. 2025; transformers:
// models/qwen3_vl, Qwen3VLTextRotaryEmbedding). As many as the sections say together.
std::vector<int64_t> axes_in_turn(const std::vector<int64_t>& sections);

// x [tokens, heads, head_size]; the first half of the rotary part pairs with the second ("rotate half"); what follows
// the rotary part is unchanged.
at::Tensor apply_rope(const at::Tensor& x_thd, const RopeTable& table);

}  // namespace antiphon::nn
