// What of a distribution sampling may draw. Source: transformers, generation/logits_process.py: TopH, TopK, TopP, MinP,
// Typical, Epsilon and Eta, in this order, each of the shares that those before it leave.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include <antiphon/engine/options.h>

namespace antiphon::engine {

// Tokens, the likeliest first, and their shares, which add up to 1.
struct Shares {
  std::vector<int64_t> ids;
  std::vector<double> p;
};

// Whether one of the filters that ask for the entropy or for shares of their own is in use: top_h, typical_p,
// epsilon_cutoff or eta_cutoff.
bool has_entropy_filters(const GenerateOptions& options);

// scaled_v [vocab_size] fp32 on the CPU, divided by the temperature, without NaN -> at least one token.
Shares shares_of(const at::Tensor& scaled_v, const GenerateOptions& options);

// How many of the likeliest top_p and min_p leave, at least one of them: p [tokens] in falling order.
size_t kept_by_mass(std::span<const double> p, const GenerateOptions& options);

}  // namespace antiphon::engine
