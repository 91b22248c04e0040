#include <antiphon/train/gradient_prints.h>

#include <ATen/ATen.h>

#include <antiphon/base/files.h>

#include <algorithm>
#include <cmath>
#include <map>

namespace antiphon::train {
namespace {

GradientPrint print_of(const Parameter& parameter, bool exact) {
  const auto gradient = parameter.tensor->grad().detach().contiguous();
  if (!exact)
    return {parameter.name, {}, at::linalg_vector_norm(gradient, 2, std::nullopt, false, at::kFloat).item<double>()};
  return {parameter.name, content_hash({static_cast<const char*>(gradient.const_data_ptr()), gradient.nbytes()})};
}

constexpr double kOtherOrder = 1e-3;  // of sums on a GPU

bool same(const GradientPrint& first, const GradientPrint& again, double largest) {
  if (first.bits != again.bits) return false;
  const double size = std::max(first.norm, kOtherOrder * largest);
  return !(std::abs(first.norm - again.norm) > kOtherOrder * size);  // what is not finite is another check's
}

}  // namespace

std::vector<GradientPrint> gradient_prints(const std::vector<Parameter>& parameters, bool exact) {
  std::vector<GradientPrint> prints;
  for (const auto& parameter : parameters)
    if (parameter.tensor->grad().defined()) prints.push_back(print_of(parameter, exact));
  return prints;
}

std::vector<std::string> differing(const std::vector<GradientPrint>& first, const std::vector<GradientPrint>& again) {
  std::map<std::string, const GradientPrint*> left;
  for (const auto& print : again) left[print.name] = &print;
  double largest = 0;
  for (const auto& print : first) largest = std::max(largest, print.norm);
  std::vector<std::string> names;
  for (const auto& print : first) {
    const auto found = left.find(print.name);
    if (found == left.end() || !same(print, *found->second, largest)) names.push_back(print.name);
    if (found != left.end()) left.erase(found);
  }
  for (const auto& [name, print] : left) names.push_back(name);
  return names;
}

}  // namespace antiphon::train
