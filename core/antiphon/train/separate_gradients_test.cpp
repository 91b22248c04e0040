#include <antiphon/train/separate_gradients.h>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;

TEST_CASE("gradients that are views of one tensor get a memory of their own") {
  auto token = at::ones({3}).requires_grad_(true), table = at::ones({4, 3}).requires_grad_(true),
       apart = at::ones({3}).requires_grad_(true), unused = at::ones({3}).requires_grad_(true);
  const auto x = at::cat({token.view({1, 1, 3}), at::ones({1, 3, 3})}, 1) + table.unsqueeze(0);
  torch::autograd::backward({(x * apart).sum()}, {});
  const std::vector<Parameter> parameters{{"table", &table}, {"token", &token}, {"apart", &apart}, {"unused", &unused}};
  const auto of_token = token.grad().clone(), of_table = table.grad().clone();
  CHECK(train::separate_gradients(parameters) == 1);
  CHECK(train::separate_gradients(parameters) == 0);
  CHECK((at::equal(token.grad(), of_token) && at::equal(table.grad(), of_table)));
  table.grad().mul_(2);
  CHECK(at::equal(token.grad(), of_token));
  CHECK_FALSE(unused.grad().defined());
}
