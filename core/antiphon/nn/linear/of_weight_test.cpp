// What is derived from a weight never outlives the weight's value.
#include <c10/core/InferenceMode.h>

#include <antiphon/nn/linear/of_weight.h>
#include <antiphon/nn/testing.h>

#include <array>

using namespace antiphon;
using namespace antiphon::nn;

namespace {

double first_of(OfWeight<at::Tensor>& cache, const at::Tensor& weight, int& made) {
  const auto copy = cache.get(weight, [&] {
    ++made;
    return weight.clone();
  });
  return copy[0].item<double>();
}

}  // namespace

TEST_CASE("a derived value is made once, and again after each way to change a weight") {
  OfWeight<at::Tensor> cache;
  int made = 0;
  auto weight = at::full({4}, 1.0);
  CHECK(first_of(cache, weight, made) == 1);
  CHECK(first_of(cache, weight, made) == 1);
  CHECK(made == 1);
  weight.mul_(2);
  CHECK(first_of(cache, weight, made) == 2);
  weight = at::full({4}, 3.0);  // another tensor
  CHECK(first_of(cache, weight, made) == 3);
  weight.mutable_data_ptr<float>()[0] = 4;  // past the operations, and said so
  weight.unsafeGetTensorImpl()->bump_version();
  CHECK(first_of(cache, weight, made) == 4);
  CHECK(made == 4);
}

TEST_CASE("another tensor at the address of one that is gone is another weight") {
  OfWeight<at::Tensor> cache;
  int made = 0;
  std::array<float, 4> memory{1, 1, 1, 1};  // as an allocator gives it out again
  {
    const auto gathered = at::from_blob(memory.data(), {4});
    CHECK(first_of(cache, gathered, made) == 1);
  }
  memory.fill(2);
  const auto gathered = at::from_blob(memory.data(), {4});
  CHECK(first_of(cache, gathered, made) == 2);
}

TEST_CASE("what a rollout made can be trained with") {
  OfWeight<at::Tensor> cache;
  const auto weight = at::full({4}, 3.0);
  {
    const c10::InferenceMode rollout;
    cache.get(weight, [&] { return weight * 2; });
  }
  const auto made = cache.get(weight, [&] { return weight * 2; });
  CHECK_FALSE(made.is_inference());
  const auto x = at::ones({4}).set_requires_grad(true);
  (x * made).sum().backward();  // saves it
  CHECK(x.grad()[0].item<double>() == 6);
}
