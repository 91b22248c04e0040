#include <antiphon/train/gradient_norms.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/strings.h>

#include <algorithm>
#include <cmath>

namespace antiphon::train {
namespace {

struct OfPart {
  std::string part, first;  // the first tensor that is not finite
  double squares = 0;
  int64_t tensors = 0, not_finite = 0;
};

std::string described(const OfPart& one) {
  const auto norm = fmt::format("{} {:.3g}", one.part, std::sqrt(one.squares));
  if (one.not_finite == 0) return norm;
  return norm + fmt::format(" ({} of {} tensors {} not finite, the first {})", one.not_finite, one.tensors,
                            one.not_finite == 1 ? "is" : "are", one.first);
}

}  // namespace

std::string described_gradients(const std::vector<Parameter>& parameters) {
  std::vector<OfPart> parts;
  for (const auto& parameter : parameters) {
    const auto& gradient = parameter.tensor->grad();
    if (!gradient.defined()) continue;
    const auto name = parameter.name.substr(0, parameter.name.find('/'));
    auto part = std::ranges::find(parts, name, &OfPart::part);
    if (part == parts.end()) part = parts.insert(part, {name, {}});
    const auto norm = at::linalg_vector_norm(gradient, 2, std::nullopt, false, at::kFloat).item<double>();
    part->squares += norm * norm, ++part->tensors;
    if (!gradient.isfinite().all().item<bool>() && part->not_finite++ == 0)
      part->first = parameter.name.substr(std::min(name.size() + 1, parameter.name.size()));
  }
  std::vector<std::string> all;
  for (const auto& one : parts) all.push_back(described(one));
  return join(all, ", ");
}

}  // namespace antiphon::train
