#include <antiphon/engine/sampling.h>

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include <antiphon/base/error.h>
#include <antiphon/engine/sampling_filters.h>

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

// Where the sum of the shares passes `left`; nullopt: behind the last of them.
std::optional<size_t> place_in(double left, std::span<const double> p) {
  for (size_t i = 0; i < p.size(); ++i)
    if ((left -= p[i]) < 0) return i;
  return std::nullopt;
}

at::Tensor have_none(const at::Tensor& rows) { return rows.amax(-1) == -HUGE_VAL; }

// An error only if it is the options that leave no token: a row in which the model itself has none stays as it is.
at::Tensor processed(const at::Tensor& logits, const std::vector<TextSoFar>& texts, const GenerateOptions& options) {
  const auto rows = logits.to(at::kCPU, at::kFloat, /*non_blocking=*/false, /*copy=*/true).contiguous();
  process_rows(rows, texts, options);
  const auto left_none = have_none(rows);
  if (left_none.any().item<bool>() &&
      left_none.logical_and(have_none(logits).to(at::kCPU).logical_not()).any().item<bool>())
    fail(ErrorKind::data, kNoToken, kNoTokenRemedy);
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

TokenScores scores_of(const at::Tensor& logits_v, int64_t id, const GenerateOptions& options) {
  const auto own_v = logits_v.to(at::kCPU, at::kFloat);
  // Distances between such logits do not fit a float.
  const auto logp_v =
      at::log_softmax(options.remove_invalid_values.value_or(false) ? finite(own_v).to(at::kDouble) : own_v, 0);
  const int64_t k = options.logprobs.value_or(0);
  TokenScores scores{logp_v[id].item<double>()};
  if (k == 0) return scores;
  const auto [values, ids] = at::topk(logp_v, std::min(k, logp_v.size(0)));
  for (int64_t i = 0; i < values.size(0); ++i)
    scores.top.emplace_back(static_cast<int32_t>(ids[i].item<int64_t>()), values[i].item<double>());
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
      if (drafts[i].failure) *drafts[i].failure = std::current_exception();
    }
  return ids;
}

int64_t Sampler::draw(const at::Tensor& logits_v) {
  auto scaled = logits_v / options_.temperature.value_or(1);
  if (options_.remove_invalid_values.value_or(false))  // what is out stays out
    scaled = at::where(logits_v.isinf(), scaled, finite(scaled));
  // A double in [0, 1) of 53 bits, the same with every standard library.
  const double share = static_cast<double>(random_() >> 11) * 0x1p-53;
  if (has_entropy_filters(options_)) {
    check_finite(scaled.max().item<float>());  // NaN counts as the largest
    const auto shares = shares_of(scaled, options_);
    return shares.ids[place_in(share, shares.p).value_or(shares.p.size() - 1)];
  }
  const int64_t all = logits_v.size(0), top_k = options_.top_k.value_or(0),
                kept = top_k > 0 ? std::min(top_k, all) : all;
  // Sorting a whole vocabulary costs more than all else, and what is drawn nearly always lies among its likeliest.
  for (int64_t sorted = std::min(kept, kSortedFirst);; sorted = kept) {
    const auto [values, indices] = at::topk(scaled, sorted);
    check_finite(values[0].item<float>());  // NaN is sorted to the front
    const auto whole = (kept == all ? scaled : values).to(at::kDouble).logsumexp(0);
    const auto p = (values.to(at::kDouble) - whole).exp();
    const auto place = place_of(share, {p.const_data_ptr<double>(), static_cast<size_t>(sorted)}, sorted == kept);
    if (place) return indices[static_cast<int64_t>(*place)].item<int64_t>();
  }
}

// Where a share of the mass falls that top_p and min_p leave of the likeliest probabilities, in order; nullopt if that
// depends on tokens that are not among these (`all`: every token that may be drawn is).
std::optional<size_t> Sampler::place_of(double share, std::span<const double> p, bool all) const {
  const auto kept = p.first(kept_by_mass(p, options_));
  const bool open = kept.size() == p.size() && !all;
  if (open && (options_.top_p.value_or(1) < 1 || options_.min_p.value_or(0) > 0)) return std::nullopt;
  const auto place = place_in(share * (open ? 1 : std::accumulate(kept.begin(), kept.end(), 0.0)), kept);
  return place || open ? place : std::optional(kept.size() - 1);
}

}  // namespace antiphon::engine
