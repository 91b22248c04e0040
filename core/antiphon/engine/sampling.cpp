#include <antiphon/engine/sampling.h>

#include <ATen/ATen.h>

#include <cmath>

#include <antiphon/base/error.h>
#include <antiphon/engine/logits_process.h>

namespace antiphon::engine {
namespace {

// Of a row: its largest value, or NaN if it holds one.
void check_finite(float largest) {
  if (!std::isfinite(largest))
    fail(ErrorKind::data, "the model's scores for the next token are not finite",
         "check the weights, or try precision.compute = \"fp32\"");
}

at::Tensor processed(const at::Tensor& logits, const std::vector<std::span<const int64_t>>& seen,
                     const GenerateOptions& options) {
  const auto rows = logits.to(at::kCPU, at::kFloat, /*non_blocking=*/false, /*copy=*/true).contiguous();
  const auto vocab = static_cast<size_t>(rows.size(1));
  for (size_t i = 0; i < static_cast<size_t>(rows.size(0)); ++i)
    process_logits({rows.mutable_data_ptr<float>() + i * vocab, vocab},
                   i < seen.size() ? seen[i] : std::span<const int64_t>(), options);
  return rows;
}

}  // namespace

std::vector<int64_t> Sampler::next(const at::Tensor& raw, const std::vector<std::span<const int64_t>>& seen) {
  std::vector<int64_t> ids;
  const auto logits = changes_logits(options_) ? processed(raw, seen, options_) : raw;
  if (options_.greedy()) {
    const auto best = logits.argmax(-1, /*keepdim=*/true);  // NaN counts as the largest
    const auto ids_n = best.to(at::kCPU), values_n = logits.gather(-1, best).to(at::kCPU, at::kFloat);
    for (int64_t i = 0; i < ids_n.size(0); ++i) {
      check_finite(values_n[i].item<float>());
      ids.push_back(ids_n[i].item<int64_t>());
    }
    return ids;
  }
  for (int64_t i = 0; i < logits.size(0); ++i) ids.push_back(draw(logits[i].to(at::kCPU, at::kFloat)));
  return ids;
}

int64_t Sampler::draw(const at::Tensor& logits_v) {
  const int64_t all = logits_v.size(0), top_k = options_.top_k.value_or(0),
                kept = top_k > 0 ? std::min(top_k, all) : all;
  const double top_p = options_.top_p.value_or(1), min_p = options_.min_p.value_or(0);
  const auto [values, indices] = at::topk(logits_v / options_.temperature.value_or(1), kept);
  check_finite(values[0].item<float>());  // NaN is sorted to the front
  const auto probabilities = at::softmax(values, -1, at::kDouble);
  const auto* p = probabilities.const_data_ptr<double>();
  double mass = 0;
  int64_t n = 0;
  while (n < kept && (n == 0 || (mass < top_p && p[n] >= min_p * p[0]))) mass += p[n++];
  // A double in [0, 1) of 53 bits, the same with every standard library.
  double left = static_cast<double>(random_() >> 11) * 0x1p-53 * mass;
  int64_t chosen = 0;
  while (chosen + 1 < n && (left -= p[chosen]) >= 0) ++chosen;
  return indices[chosen].item<int64_t>();
}

}  // namespace antiphon::engine
