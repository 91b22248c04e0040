#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <antiphon/base/error.h>
#include <antiphon/train/random_state.h>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using namespace antiphon::train;

namespace {

// Two generators, as of a CPU and a device beside it.
struct Two {
  at::Generator cpu = at::detail::createCPUGenerator(1), device = at::detail::createCPUGenerator(2);
  RandomState state{
      {{"random.cpu", std::make_shared<at::Generator>(cpu)}, {"random.cuda", std::make_shared<at::Generator>(device)}}};
  at::Tensor draw() { return at::cat({at::rand({4}, cpu), at::rand({4}, device)}); }
};

std::map<std::string, at::Tensor> saved(const RandomState& state) {
  const auto named = state.state();
  return {named.begin(), named.end()};
}

}  // namespace

TEST_CASE("random state: the seed reaches every generator") {
  Two left, right;
  left.state.seed(7), right.state.seed(7);
  CHECK(at::equal(left.draw(), right.draw()));
  right.state.seed(8);
  CHECK_FALSE(at::equal(left.draw().slice(0, 4), right.draw().slice(0, 4)));
}

TEST_CASE("random state: a restored one draws what would have come") {
  Two left, right;
  left.state.seed(7);
  left.draw();
  const auto kept = saved(left.state);
  CHECK(kept.size() == 2);
  const auto expected = left.draw();
  right.state.restore(kept);
  CHECK(at::equal(right.draw(), expected));
  left.state.restore(kept);  // what was saved did not move on with the generator
  CHECK(at::equal(left.draw(), expected));
}

TEST_CASE("random state: a generator that is not in the checkpoint is an error") {
  Two two;
  auto kept = saved(two.state);
  kept.erase("random.cuda");
  CHECK_THROWS_AS(two.state.restore(kept), Error);
}

TEST_CASE("random state: of a CPU alone it is LibTorch's default generator") {
  RandomState state(at::kCPU);
  CHECK(saved(state).size() == 1);
  state.seed(5);
  const auto first = at::rand({4});
  state.seed(5);
  CHECK(at::equal(at::rand({4}), first));
}
