#include <antiphon/nn/batch_norm.h>

#include <torch/csrc/autograd/autograd.h>

#include <antiphon/component/training_pass.h>
#include <antiphon/nn/testing.h>

using namespace antiphon;
using namespace antiphon::nn;

namespace {

constexpr int64_t kSize = 5;

struct Started : BatchNorm {
  Started() : BatchNorm(kSize) {
    initialize(1, at::kCPU);
    for (auto& parameter : parameters()) parameter.tensor->add_(random({kSize}, ++seed_).abs(), 0.3);
    set_requires_grad(true);
  }
  at::Tensor& get(size_t i) { return *parameters()[i].tensor; }  // weight, bias, running_mean, running_var

 private:
  uint64_t seed_ = 10;
};

at::Tensor input(uint64_t seed, int64_t n = 3, int64_t t = 7) { return random({n, kSize, t}, seed) * 2 + 1; }

// The same in double precision, with its own statistics.
struct Reference {
  explicit Reference(Started& norm) {
    for (size_t i = 0; i < 4; ++i) values.push_back(norm.get(i).detach().to(at::kDouble).clone());
  }
  at::Tensor forward(const at::Tensor& x, bool training) {
    return at::batch_norm(x, values[0], values[1], values[2], values[3], training, 0.1, 1e-5, false);
  }
  std::vector<at::Tensor> values;
};

}  // namespace

TEST_CASE("batch norm: values, gradients and running statistics over several batches, and by the running ones") {
  Started norm;
  Reference reference(norm);
  for (size_t i = 0; i < 2; ++i) reference.values[i].set_requires_grad(true);
  for (const bool training : {true, true, false, true, false}) {
    const auto x = input(training ? 3 : 4).set_requires_grad(true);
    const auto x64 = x.detach().to(at::kDouble).set_requires_grad(true);
    const auto y = norm.forward(x, training), y64 = reference.forward(x64, training);
    CHECK(relative_error(y.detach(), y64.detach()) < 1e-6);
    const auto upstream = random(y.sizes(), 5);
    const auto got = torch::autograd::grad({y}, {x, norm.get(0), norm.get(1)}, {upstream});
    const auto wanted =
        torch::autograd::grad({y64}, {x64, reference.values[0], reference.values[1]}, {upstream.to(at::kDouble)});
    for (size_t i = 0; i < got.size(); ++i) CHECK(relative_error(got[i], wanted[i]) < 2e-6);
    for (size_t i = 2; i < 4; ++i) CHECK(relative_error(norm.get(i), reference.values[i]) < 1e-6);
  }
}

TEST_CASE("batch norm: running statistics move a tenth of the way to the batch's mean and unbiased variance") {
  Started norm;
  const auto mean = norm.get(2).clone(), variance = norm.get(3).clone();
  const auto x = input(6), rows = x.transpose(0, 1).flatten(1);
  norm.forward(x, true);
  CHECK(relative_error(norm.get(2), mean * 0.9 + rows.mean(1) * 0.1) < 1e-6);
  CHECK(relative_error(norm.get(3), variance * 0.9 + rows.var(1, /*unbiased=*/true) * 0.1) < 1e-6);
  const auto after = norm.get(2).clone();
  norm.forward(x, false);
  CHECK(at::equal(norm.get(2), after));
}

TEST_CASE("batch norm: a batch of one vector is normalized by the running statistics and leaves them") {
  Started norm;
  const auto x = input(7, 1, 1), before = norm.get(3).clone();
  CHECK(at::equal(norm.forward(x, true), norm.forward(x, false)));
  CHECK(at::equal(norm.get(3), before));
}

TEST_CASE("batch norm: a frozen one in training is as in an evaluation") {
  Started norm;
  norm.set_requires_grad(false);
  const auto x = input(9), before = norm.get(2).clone();
  CHECK(at::equal(norm.forward(x, true), norm.forward(x, false)));
  CHECK(at::equal(norm.get(2), before));
}

TEST_CASE("batch norm: bf16 goes in and comes out, and the running statistics stay float32") {
  Started norm;
  const auto x = input(8);
  for (const bool training : {true, false}) {
    const auto y = norm.forward(x.to(at::kBFloat16), training);
    CHECK(y.scalar_type() == at::kBFloat16);
    CHECK(relative_error(y.detach(), norm.forward(x, false).detach()) < (training ? 1.0 : 0.05));
    CHECK(norm.get(2).scalar_type() == at::kFloat);
  }
}

TEST_CASE("running statistics have no gradient, whatever is asked for") {
  Started norm;
  CHECK(norm.get(0).requires_grad());
  CHECK_FALSE(norm.get(2).requires_grad());
  CHECK_FALSE(norm.get(3).requires_grad());
  CHECK(norm.trainable_count() == 2 * kSize);
}

TEST_CASE("a pass is of training while it is said so, with gradients or without; the innermost word counts") {
  CHECK_FALSE(TrainingPass::now());
  {
    const TrainingPass outer;
    { const TrainingPass inner; }
    const at::NoGradGuard first_pass_of_a_block_that_is_computed_again;
    CHECK(TrainingPass::now());
    {
      const TrainingPass evaluation(false);
      CHECK_FALSE(TrainingPass::now());
    }
    CHECK(TrainingPass::now());
  }
  CHECK_FALSE(TrainingPass::now());
}
