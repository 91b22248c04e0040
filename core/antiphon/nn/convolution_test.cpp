#include <antiphon/nn/convolution.h>

#include <ATen/ATen.h>
#include <antiphon/nn/testing.h>
#include <torch/csrc/autograd/autograd.h>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;

TEST_CASE("convolve_rows is LibTorch's convolution, with its gradients") {
  for (const int64_t size : {1, 3, 5})
    for (const int64_t stride : {1, 2}) {
      const auto make = [](at::IntArrayRef shape) { return at::randn(shape, at::kDouble).requires_grad_(); };
      const auto x_ntc = make({2, 11, 4}), weight = make({6, 4, size}), bias = make({6});
      const auto y = nn::convolve_rows(x_ntc, weight, bias, stride);
      const auto expected = at::conv1d(x_ntc.transpose(1, 2), weight, bias, stride, size / 2).transpose(1, 2);
      CHECK(at::allclose(y, expected, 1e-12, 1e-12));
      const auto grad = at::randn_like(y);
      const auto of = [&](const at::Tensor& out) {
        return torch::autograd::grad({out}, {x_ntc, weight, bias}, {grad});
      };
      const auto ours = of(y), theirs = of(expected);
      for (size_t i = 0; i < ours.size(); ++i) CHECK(at::allclose(ours[i], theirs[i], 1e-12, 1e-12));
    }
}
