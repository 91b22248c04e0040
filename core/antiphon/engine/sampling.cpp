#include <antiphon/engine/sampling.h>

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include <antiphon/base/error.h>

namespace antiphon::engine {
namespace {

constexpr int64_t kSortedFirst = 512;

// Of a row: its largest value, or NaN if it holds one.
void check_finite(float largest) {
  if (!std::isfinite(largest)) fail(ErrorKind::data, kNotFinite, kNotFiniteRemedy);
}

// Of each row; nullopt if it is not finite.
std::vector<std::optional<int64_t>> likeliest(const at::Tensor& logits) {
  const auto best = logits.argmax(-1, /*keepdim=*/true);  // NaN counts as the largest
  const auto ids_n = best.to(at::kCPU), values_n = logits.gather(-1, best).to(at::kCPU, at::kFloat);
  std::vector<std::optional<int64_t>> ids;
  for (int64_t i = 0; i < ids_n.size(0); ++i)
    ids.push_back(std::isfinite(values_n[i].item<float>()) ? std::optional(ids_n[i].item<int64_t>()) : std::nullopt);
  return ids;
}

at::Tensor processed(const at::Tensor& logits, const std::vector<TextSoFar>& texts, const GenerateOptions& options) {
  const auto rows = logits.to(at::kCPU, at::kFloat, /*non_blocking=*/false, /*copy=*/true).contiguous();
  process_rows(rows, texts, options);
  return rows;
}

}  // namespace

std::vector<int64_t> Sampler::next(const at::Tensor& raw, const std::vector<TextSoFar>& texts) {
  std::vector<int64_t> ids;
  const auto logits = changes_logits(options_) ? processed(raw, texts, options_) : raw;
  if (options_.greedy()) {
    for (const auto& id : likeliest(logits)) {
      if (!id) fail(ErrorKind::data, kNotFinite, kNotFiniteRemedy);
      ids.push_back(*id);
    }
    return ids;
  }
  for (int64_t i = 0; i < logits.size(0); ++i) ids.push_back(draw(logits[i].to(at::kCPU, at::kFloat)));
  return ids;
}

bool Sampler::takes_likeliest() const { return options_.greedy() && !changes_logits(options_); }

TokenScores scores_of(const at::Tensor& logits_v, int64_t id, int64_t k) {
  const auto logp_v = at::log_softmax(logits_v.to(at::kCPU, at::kFloat), 0);
  TokenScores scores{logp_v[id].item<float>()};
  if (k == 0) return scores;
  const auto [values, ids] = at::topk(logp_v, std::min(k, logp_v.size(0)));
  for (int64_t i = 0; i < values.size(0); ++i)
    scores.top.emplace_back(static_cast<int32_t>(ids[i].item<int64_t>()), values[i].item<float>());
  return scores;
}

std::vector<std::optional<int64_t>> next_tokens(const at::Tensor& logits, const std::vector<Draft>& drafts) {
  if (std::ranges::all_of(drafts, [](const Draft& draft) { return draft.sampler->takes_likeliest(); }))
    return likeliest(logits);  // all in one
  std::vector<std::optional<int64_t>> ids;
  for (size_t i = 0; i < drafts.size(); ++i) try {
      ids.push_back(drafts[i].sampler->next(logits.narrow(0, static_cast<int64_t>(i), 1), {drafts[i].text}).front());
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::data) throw;
      ids.push_back(std::nullopt);
    }
  return ids;
}

int64_t Sampler::draw(const at::Tensor& logits_v) {
  const int64_t all = logits_v.size(0), top_k = options_.top_k.value_or(0),
                kept = top_k > 0 ? std::min(top_k, all) : all;
  const auto scaled = logits_v / options_.temperature.value_or(1);
  // A double in [0, 1) of 53 bits, the same with every standard library.
  const double share = static_cast<double>(random_() >> 11) * 0x1p-53;
  // Sorting a whole vocabulary costs more than all else, and what is drawn nearly always lies among its likeliest.
  for (int64_t sorted = std::min(kept, kSortedFirst);; sorted = kept) {
    const auto [values, indices] = at::topk(scaled, sorted);
    check_finite(values[0].item<float>());  // NaN is sorted to the front
    const auto whole = (kept == all ? scaled : values).to(at::kDouble).logsumexp(0);
    const auto p = (values.to(at::kDouble) - whole).exp();
    const auto place = place_of(share, {p.const_data_ptr<double>(), static_cast<size_t>(sorted)}, sorted == kept);
    if (place) return indices[*place].item<int64_t>();
  }
}

// Where a share of the mass falls that top_p and min_p leave of the likeliest probabilities, in order; nullopt if that
// depends on others (`all`: there are none).
std::optional<int64_t> Sampler::place_of(double share, std::span<const double> p, bool all) const {
  const double top_p = options_.top_p.value_or(1), min_p = options_.min_p.value_or(0);
  double mass = 0;
  size_t n = 0;
  while (n < p.size() && (n == 0 || (mass < top_p && p[n] >= min_p * p[0]))) mass += p[n++];
  const bool open = n == p.size() && !all;
  if (open && (top_p < 1 || min_p > 0)) return std::nullopt;
  double left = share * (open ? 1 : mass);
  for (size_t i = 0; i < n; ++i)
    if ((left -= p[i]) < 0) return static_cast<int64_t>(i);
  return open ? std::nullopt : std::optional(static_cast<int64_t>(n) - 1);
}

}  // namespace antiphon::engine
