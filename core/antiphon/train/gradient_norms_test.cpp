#include <antiphon/train/gradient_norms.h>

#include <ATen/ATen.h>
#include <catch2/catch_test_macros.hpp>

#include <cmath>

using namespace antiphon;
using antiphon::train::described_gradients;

TEST_CASE("the norm of each part's gradients, and what of it is not finite") {
  std::vector<at::Tensor> tensors;
  for (int i = 0; i < 5; ++i) tensors.push_back(at::zeros({2}));
  const auto give = [&](size_t i, double a, double b) { tensors[i].mutable_grad() = at::tensor({a, b}, at::kFloat); };
  give(0, 3, 0), give(1, 0, 4), give(2, 0.25, 0), give(3, std::nan(""), 1);  // the last has none
  std::vector<Parameter> parameters;
  for (const auto* name :
       {"llm/a.weight", "llm/b.weight", "connectors.image/c", "encoders.image/d", "encoders.image/e"})
    parameters.push_back({name, &tensors[parameters.size()]});
  CHECK(described_gradients(parameters) ==
        "llm 5, connectors.image 0.25, encoders.image nan (1 of 1 tensors is not finite, the first d)");
  give(0, INFINITY, 0), give(1, 1, -INFINITY);
  CHECK(described_gradients(parameters).starts_with("llm inf (2 of 2 tensors are not finite, the first a.weight), "));
}
