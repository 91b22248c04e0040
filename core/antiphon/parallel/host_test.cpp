// What is kept in the host's memory: values and gradients are those of a model that stays on its device.
#include <ATen/ATen.h>

#include <antiphon/parallel/offloaded_blocks.h>
#include <antiphon/parallel/test_net.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

using namespace antiphon;
using namespace antiphon::parallel;
using namespace antiphon::parallel::testing;

namespace {

ShardedModel kept_on_host(Net& net, bool by_blocks) {
  ShardedModel model{net.trained(), by_blocks ? net.blocks() : std::vector<Module*>()};
  model.computed = at::kDouble, model.trained_on_host = true;
  return model;
}

void descend(const std::vector<Parameter>& parameters) {
  c10::AutoGradMode no_grad(false);
  for (const auto& own : parameters) {
    if (own.tensor->grad().defined()) own.tensor->sub_(own.tensor->grad());
    own.tensor->mutable_grad().reset();
  }
}

// Batches whose forward passes all come before their backward passes, as in a pipeline, in another order.
void train_together(Net& net, Placement& placement, const std::vector<int64_t>& batches) {
  placement.make_usable();
  const nn::BlockPolicyScope policy(placement.around(nullptr));
  std::vector<at::Tensor> losses;
  for (const auto batch : batches) losses.push_back(net.loss(batch));
  for (const auto& loss : losses) {
    torch::autograd::backward({loss}, {});
    placement.end_pass();
  }
  placement.add_gradients();
}

void check_same(const std::vector<Parameter>& own, const std::vector<Parameter>& expected) {
  REQUIRE(own.size() == expected.size());
  for (size_t i = 0; i < own.size(); ++i) {
    INFO(own[i].name);
    CHECK_FALSE(own[i].box.has_value());
    REQUIRE(own[i].tensor->grad().defined() == expected[i].tensor->grad().defined());
    if (own[i].tensor->grad().defined()) CHECK(at::equal(own[i].tensor->grad(), expected[i].tensor->grad()));
    CHECK(at::equal(*own[i].tensor, *expected[i].tensor));
  }
}

}  // namespace

TEST_CASE("one process that keeps what it trains in the host's memory: gradients to the bit, block by block") {
  for (const bool by_blocks : {true, false}) {
    CAPTURE(by_blocks);
    Net net(false), one(false);
    Sharded sharded(kept_on_host(net, by_blocks), nullptr, nullptr);
    const auto own = sharded.own(net.trained());
    for (const auto& parameter : own) CHECK(sharded.on_host(parameter));
    CHECK_THROWS(at::mm(net.layers[0]->weight, net.layers[0]->weight));  // nothing of it is on the device
    for (int step = 0; step < 3; ++step) {
      most_with_memory = 0, counted = &sharded;
      train(net, sharded, nullptr, {0, 1, 2});
      counted = nullptr;
      check_same(own, whole_gradients(one, 3));
      CHECK(most_with_memory == (by_blocks ? 2 : 0));
      CHECK(sharded.blocks_with_memory() == 0);
      descend(own), descend(one.trained());
    }
    sharded.make_whole(net.trained());
    CHECK(at::equal(net.layers[1]->weight, one.layers[1]->weight));
  }
}

TEST_CASE("several batches between their passes: blocks come and go for each, and gradients are the same") {
  for (const bool frozen : {false, true}) {
    CAPTURE(frozen);
    Net net(frozen), one(frozen);
    auto model = kept_on_host(net, /*by_blocks=*/true);
    Sharded sharded(model, nullptr, nullptr);
    if (frozen) CHECK(sharded.offload(net.blocks(), 0) > 0);
    Replicated replicated(one.trained());
    const auto own = sharded.own(net.trained());
    for (int step = 0; step < 2; ++step) {
      train_together(net, sharded, {0, 2, 4});
      train_together(one, replicated, {0, 2, 4});
      check_same(own, one.trained());
      CHECK(sharded.blocks_with_memory() == 0);
      descend(own), descend(one.trained());
    }
  }
}

TEST_CASE("a batch that is never learnt from is noticed at the end of the step") {
  Net net(false);
  Sharded sharded(kept_on_host(net, /*by_blocks=*/true), nullptr, nullptr);
  sharded.make_usable();
  const nn::BlockPolicyScope policy(sharded.around(nullptr));
  const auto forgotten = net.loss(0), loss = net.loss(1);
  torch::autograd::backward({loss}, {});
  sharded.end_pass();
  CHECK_THROWS_WITH(sharded.add_gradients(), Catch::Matchers::ContainsSubstring("leaves its blocks waiting"));
}
