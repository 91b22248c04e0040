// What tests of divided models compare.
#pragma once
#include <ATen/ATen.h>

#include <antiphon/parallel/alike.h>

#include <catch2/catch_test_macros.hpp>

#include <map>
#include <string>
#include <vector>

namespace antiphon::parallel::testing {

// The sum of each parameter's gradients over the processes that hold it is the gradient of the whole, to `rounding` of
// its largest value. Every process of `all` names the same parameters. -> the names of those that this process holds.
inline std::vector<std::string> check_gradients(const std::vector<Parameter>& shared,
                                                const std::vector<Parameter>& whole, comm::Group& all, double rounding,
                                                double smallest) {
  static int calls = 0;
  const auto of_call = std::to_string(++calls) + "/";
  std::map<std::string, at::Tensor> wanted;
  for (const auto& parameter : whole) wanted[parameter.name] = parameter.tensor->grad();
  std::vector<std::string> compared;
  for (const auto& [numbers, parameters] : alike(shared, &all)) {
    std::string name = of_call;
    for (const auto number : numbers) name += "." + std::to_string(number);
    const auto group = all.subgroup(name, numbers);
    for (const auto& parameter : parameters) {
      INFO(parameter.name);
      auto gradient = parameter.tensor->grad();
      gradient = gradient.defined() ? gradient.contiguous().clone() : at::zeros_like(*parameter.tensor).detach();
      group->sum(gradient);
      const auto part = parameter.part_of(wanted.at(parameter.name));
      const double most = wanted.at(parameter.name).abs().max().item<double>();
      CHECK((gradient - part).abs().max().item<double>() <= rounding * most + smallest);
      compared.push_back(parameter.name);
    }
  }
  return compared;
}

}  // namespace antiphon::parallel::testing
