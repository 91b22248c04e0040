#include <antiphon/train/gradient_prints.h>

#include <ATen/ATen.h>
#include <catch2/catch_test_macros.hpp>

#include <cstdint>

using namespace antiphon;
using antiphon::train::differing, antiphon::train::gradient_prints;

TEST_CASE("one bit of one gradient is found") {
  std::vector<at::Tensor> tensors{at::zeros({3, 5}), at::zeros({7}), at::zeros({2})};
  std::vector<Parameter> parameters{{"llm/a", &tensors[0]}, {"llm/b", &tensors[1]}, {"llm/c", &tensors[2]}};
  tensors[0].mutable_grad() = at::randn({5, 3}).t();
  tensors[1].mutable_grad() = at::randn({7}).to(at::kFloat);
  const auto first = gradient_prints(parameters, true);
  REQUIRE(first.size() == 2);
  CHECK(differing(first, gradient_prints(parameters, true)).empty());

  auto bits = tensors[1].grad().view(at::kInt);
  bits[3].bitwise_xor_(1);
  CHECK(differing(first, gradient_prints(parameters, true)) == std::vector<std::string>{"llm/b"});
  bits[3].bitwise_xor_(1);
  CHECK(differing(first, gradient_prints(parameters, true)).empty());

  tensors[2].mutable_grad() = at::zeros({2});
  CHECK(differing(first, gradient_prints(parameters, true)) == std::vector<std::string>{"llm/c"});
  tensors[0].mutable_grad().reset();
  CHECK(differing(first, gradient_prints(parameters, true)) == std::vector<std::string>{"llm/a", "llm/c"});
}

TEST_CASE("norms may differ by a thousandth, and rounding by a thousandth of the largest one") {
  std::vector<at::Tensor> tensors{at::zeros({2}), at::zeros({2})};
  std::vector<Parameter> parameters{{"llm/a", &tensors[0]}, {"llm/b", &tensors[1]}};
  const auto with = [&](double a, double b) {
    tensors[0].mutable_grad() = at::tensor({a, 0.0}, at::kFloat),
    tensors[1].mutable_grad() = at::tensor({0.0, b}, at::kFloat);
    return gradient_prints(parameters, false);
  };
  const auto first = with(4, 1e-6);
  CHECK(differing(first, with(4.003, 2e-6)).empty());
  CHECK(differing(first, with(4.005, 2e-6)) == std::vector<std::string>{"llm/a"});
  CHECK(differing(with(4, 1), with(4, 1.002)) == std::vector<std::string>{"llm/b"});
}
