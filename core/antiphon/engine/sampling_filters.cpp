#include <antiphon/engine/sampling_filters.h>

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace antiphon::engine {
namespace {

constexpr int64_t kTopHTokens = 100;  // of which top_h weighs the entropy

bool cuts(const std::optional<double>& cutoff) { return cutoff.value_or(0) > 0 && cutoff.value_or(0) < 1; }

Shares likeliest_shares(const at::Tensor& scaled_v, int64_t count) {
  const auto [values, ids] = at::topk(scaled_v, count);
  const auto p = at::softmax(values.to(at::kDouble), 0);
  const auto* first = p.const_data_ptr<double>();
  const auto some = static_cast<size_t>(std::find(first, first + count, 0.0) - first);
  const auto* id = ids.const_data_ptr<int64_t>();
  return {{id, id + some}, {first, first + some}};
}

void keep_first(Shares& shares, size_t count) {
  shares.ids.resize(count), shares.p.resize(count);
  const double mass = std::accumulate(shares.p.begin(), shares.p.end(), 0.0);
  for (auto& p : shares.p) p /= mass;
}

double entropy_of(const std::vector<double>& shares) {
  double sum = 0;
  for (const double p : shares) sum -= p * std::log(p);
  return sum;
}

// The likeliest that together have no more than this part of the entropy.
size_t kept_by_entropy(const std::vector<double>& shares, double part) {
  const double most = part * entropy_of(shares);
  double sum = 0;
  size_t count = 0;
  for (; count < shares.size(); ++count)
    if ((sum -= shares[count] * std::log(shares[count])) > most) break;
  return std::max<size_t>(1, count);
}

// Tokens whose surprise is nearest to the mean one, until they have the mass.
void keep_typical(Shares& shares, double mass) {
  const double entropy = entropy_of(shares.p);
  std::vector<double> distance;
  for (const double p : shares.p) distance.push_back(std::abs(-std::log(p) - entropy));
  std::vector<size_t> order(distance.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, {}, [&](size_t i) { return distance[i]; });
  double held = 0, farthest = distance[order.front()];
  for (size_t n = 0; n < order.size() && (n == 0 || held < mass); ++n)
    farthest = distance[order[n]], held += shares.p[order[n]];
  Shares typical;
  for (size_t i = 0; i < distance.size(); ++i)
    if (distance[i] <= farthest) typical.ids.push_back(shares.ids[i]), typical.p.push_back(shares.p[i]);
  shares = std::move(typical);
  keep_first(shares, shares.ids.size());
}

// Those that are as likely as the cutoff or as the likeliest.
void cut(Shares& shares, double cutoff) {
  size_t count = 0;
  while (count < shares.p.size() && (shares.p[count] >= cutoff || shares.p[count] == shares.p[0])) ++count;
  keep_first(shares, count);
}

}  // namespace

bool has_entropy_filters(const GenerateOptions& o) {
  return o.top_h.value_or(0) > 0 || o.typical_p.value_or(1) < 1 || cuts(o.epsilon_cutoff) || cuts(o.eta_cutoff);
}

size_t kept_by_mass(std::span<const double> p, const GenerateOptions& o) {
  const double top_p = o.top_p.value_or(1), min_p = o.min_p.value_or(0);
  double mass = 0;
  size_t count = 0;
  while (count < p.size() && (count == 0 || (mass < top_p && p[count] >= min_p * p[0]))) mass += p[count++];
  return count;
}

Shares shares_of(const at::Tensor& scaled_v, const GenerateOptions& o) {
  const int64_t all = scaled_v.size(0), top_k = o.top_k.value_or(0), most = top_k > 0 ? std::min(top_k, all) : all;
  const double top_h = o.top_h.value_or(0);
  auto shares = likeliest_shares(scaled_v, top_h > 0 ? std::min(kTopHTokens, all) : most);
  if (top_h > 0) keep_first(shares, std::min(kept_by_entropy(shares.p, top_h), static_cast<size_t>(most)));
  keep_first(shares, kept_by_mass(shares.p, o));
  if (o.typical_p.value_or(1) < 1) keep_typical(shares, *o.typical_p);
  if (cuts(o.epsilon_cutoff)) cut(shares, *o.epsilon_cutoff);
  if (cuts(o.eta_cutoff))
    cut(shares, std::min(*o.eta_cutoff, std::sqrt(*o.eta_cutoff) * std::exp(-entropy_of(shares.p))));
  return shares;
}

}  // namespace antiphon::engine
