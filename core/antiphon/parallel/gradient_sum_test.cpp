#include <antiphon/parallel/gradient_sum.h>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <antiphon/base/error.h>
#include <antiphon/comm/test_group.h>
#include <antiphon/parallel/same_run.h>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using namespace antiphon::parallel;
using comm::testing::my_place;
using comm::testing::run_group;

namespace {

// A chain of four products; the third is used by processes of an even rank alone, the fourth by none.
struct Chain {
  explicit Chain(at::ScalarType dtype = at::kFloat) {
    at::manual_seed(5);
    for (auto& x : weights) x = (at::rand({6, 6}, dtype) - 0.5).set_requires_grad(true);
    for (size_t i = 0; i < 4; ++i) parameters.push_back({std::to_string(i), &weights[i]});
  }
  void backward(int rank, int64_t batch) {
    const auto input = (at::arange(12, at::kDouble).view({2, 6}) * 0.1 + rank + 10 * static_cast<double>(batch));
    auto y = at::tanh(at::matmul(at::tanh(at::matmul(input.to(weights[0].scalar_type()), weights[0])), weights[1]));
    if (rank % 2 == 0) y = at::matmul(y, weights[2]);
    torch::autograd::backward({y.square().sum()}, {});
  }
  std::array<at::Tensor, 4> weights;
  std::vector<Parameter> parameters;
};

// What one process would have, which computes all batches in order.
std::vector<at::Tensor> expected(int size, int64_t batches) {
  Chain chain;
  for (int rank = 0; rank < size; ++rank)
    for (int64_t batch = 0; batch < batches; ++batch) chain.backward(rank, batch);
  std::vector<at::Tensor> gradients;
  for (const auto& x : chain.weights) gradients.push_back(x.grad());
  return gradients;
}

void check(const Chain& chain, int size, int64_t batches) {
  const auto sums = expected(size, batches);
  for (size_t i = 0; i < 4; ++i) {
    const auto& got = chain.weights[i].grad();
    REQUIRE(got.defined() == sums[i].defined());
    if (!got.defined()) continue;
    CHECK(at::allclose(got, sums[i], 1e-6, 1e-6));
    if (size == 2 && batches == 1) CHECK(at::equal(got, sums[i]));  // two numbers have one sum
  }
}

}  // namespace

TEST_CASE("gradients of several processes are those of one that has all batches") {
  for (const int size : {1, 2, 3}) CHECK(run_group(size, "member adds gradients") == 0);
}

TEST_CASE("member adds gradients", "[.]") {
  comm::Group group(my_place());
  // Each gradient is sent by itself, two together, all together, and all from where they lie.
  constexpr size_t kMany = size_t{1} << 20;
  for (const auto& [together, alone, buckets] :
       {std::tuple{size_t{1}, kMany, 4U}, {size_t{300}, kMany, 2U}, {kMany, kMany, 1U}, {kMany, size_t{1}, 4U}}) {
    for (const int64_t batches : {1, 3}) {
      Chain chain;
      GradientSum sum(chain.parameters, group, {together, alone});
      CHECK(sum.buckets() == buckets);
      for (int step = 0; step < 2; ++step) {
        for (int64_t batch = 0; batch < batches; ++batch) {
          if (batch + 1 == batches) sum.begin();
          chain.backward(group.rank(), batch);
        }
        sum.finish();
        if (alone == 1) CHECK(sum.copied() == 0);
        check(chain, group.size(), batches);
        for (auto& x : chain.weights) x.mutable_grad().reset();
      }
    }
  }
  group.wait_for_all();
}

TEST_CASE("a gradient of a pass that was not announced stays the process's own") {
  CHECK(run_group(2, "member computes for itself") == 0);
}

TEST_CASE("member computes for itself", "[.]") {
  comm::Group group(my_place());
  Chain chain, alone;
  {
    GradientSum sum(chain.parameters, group);
    chain.backward(group.rank(), 0);
    alone.backward(group.rank(), 0);
    CHECK(at::equal(chain.weights[0].grad(), alone.weights[0].grad()));
  }
  chain.backward(group.rank(), 0), alone.backward(group.rank(), 0);  // its hooks are gone
  CHECK(at::equal(chain.weights[0].grad(), alone.weights[0].grad()));
  group.wait_for_all();
}

TEST_CASE("what is sent does not depend on who has which gradient") {
  CHECK(run_group(3, "member keeps to the plan") == 0);
}

TEST_CASE("member keeps to the plan", "[.]") {
  comm::Group group(my_place());
  Chain chain;
  GradientSum sum(chain.parameters, group, {1, 1});
  sum.begin();
  if (group.rank() == 1) chain.backward(0, 0);  // the others have nothing to compute
  sum.finish();
  CHECK(comm::testing::same_ledger(group));
  CHECK(chain.weights[0].grad().defined());
  CHECK_FALSE(chain.weights[3].grad().defined());
  group.wait_for_all();
}

TEST_CASE("a second gradient after the first was sent is not a silent loss") {
  CHECK(run_group(1, "member computes twice") == 0);
}

TEST_CASE("member computes twice", "[.]") {
  comm::Group group(my_place());
  Chain chain;
  GradientSum sum(chain.parameters, group);
  sum.begin();
  chain.backward(0, 0);
  CHECK_THROWS_AS(chain.backward(0, 1), Error);
}

TEST_CASE("processes that do not do the same are told what differs") { CHECK(run_group(3, "member compares") == 0); }

TEST_CASE("member compares", "[.]") {
  comm::Group group(my_place());
  CHECK_NOTHROW(check_same(group, {{"configuration", "a"}, {"data", "b"}}));
  const std::string data = group.rank() == 2 ? "other" : "b";
  try {
    check_same(group, {{"configuration", "a"}, {"data", data}});
    FAIL("expected an error");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::config);
    CHECK(error.message() == "the processes differ from process 0: process 2 has another data");
  }
  group.wait_for_all();
}
