#include <antiphon/infer/sampling.h>

#include <ATen/ATen.h>

#include <cmath>

#include <antiphon/base/error.h>

namespace antiphon::infer {
namespace {

// Of a row: its largest value, or NaN if it holds one.
void check_finite(float largest) {
  if (!std::isfinite(largest))
    fail(ErrorKind::data, "the model's scores for the next token are not finite",
         "check the weights, or try precision.compute = \"fp32\"");
}

}  // namespace

std::vector<int64_t> Sampler::next(const at::Tensor& logits) {
  std::vector<int64_t> ids;
  if (options_.temperature == 0) {
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
  const int64_t kept = options_.top_k > 0 ? std::min(options_.top_k, logits_v.size(0)) : logits_v.size(0);
  const auto [values, indices] = at::topk(logits_v / options_.temperature, kept);
  check_finite(values[0].item<float>());  // NaN is sorted to the front
  const auto probabilities = at::softmax(values, -1, at::kDouble);
  const auto* p = probabilities.const_data_ptr<double>();
  double mass = 0;
  int64_t n = 0;
  while (n < kept && (n == 0 || mass < options_.top_p)) mass += p[n++];
  // A double in [0, 1) of 53 bits, the same with every standard library.
  double left = static_cast<double>(random_() >> 11) * 0x1p-53 * mass;
  int64_t chosen = 0;
  while (chosen + 1 < n && (left -= p[chosen]) >= 0) ++chosen;
  return indices[chosen].item<int64_t>();
}

}  // namespace antiphon::infer
