#include "advantages.h"

#include <cmath>

namespace antiphon::policy_gradient {
namespace {

double advantage(double reward, const Spread& group, const Method& method) {
  const auto known = static_cast<double>(group.known);
  // The deviation does not tell whether rewards are equal: rounding may leave 1e-17 of equal ones.
  if (std::isnan(reward) || group.equal) return 0;
  if (method.advantage == "leave_one_out") return reward - (group.sum - reward) / (known - 1);
  const double above = reward - group.sum / known;
  return method.advantage == "group" ? above / (group.deviation + 1e-4) : above;
}

}  // namespace

Spread spread_of(std::span<const double> rewards) {
  Spread spread;
  double first = 0, squares = 0;
  for (const double reward : rewards) {
    if (std::isnan(reward)) continue;
    if (spread.known++ == 0) first = reward;
    spread.sum += reward, spread.equal &= reward == first;
  }
  const auto known = static_cast<double>(spread.known);
  for (const double reward : rewards)
    if (!std::isnan(reward)) squares += std::pow(reward - spread.sum / known, 2);
  if (spread.known > 1) spread.deviation = std::sqrt(squares / (known - 1));
  return spread;
}

std::vector<double> advantages_of(const std::vector<double>& rewards, const std::vector<int64_t>& groups,
                                  const Method& method) {
  std::vector<double> all;
  all.reserve(rewards.size());
  for (const auto sequences : groups) {
    const auto group = std::span(rewards).subspan(all.size(), static_cast<size_t>(sequences));
    const auto spread = spread_of(group);
    for (const double reward : group) all.push_back(advantage(reward, spread, method));
  }
  return all;
}

}  // namespace antiphon::policy_gradient
