#include <antiphon/base/error.h>
#include <antiphon/train/average.h>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using namespace antiphon::train;
using Catch::Approx;

namespace {

void set(at::Tensor& parameter, float value) {
  c10::AutoGradMode no_grad(false);
  parameter.fill_(value);
}

checkpoint::StoredTensors stored(Average& average) {
  checkpoint::StoredTensors state;
  for (const auto& [value, of] : average.state()) state[value.name] = value.tensor->clone();
  return state;
}

}  // namespace

TEST_CASE("averages begin at the values and follow them") {
  auto w = at::full({2}, 1.0f).set_requires_grad(true);
  Average average({{"llm/w", &w}}, 0.75);
  for (const float value : {3.0f, -1.0f}) set(w, value), average.update();
  const double expected = 0.75 * (0.75 * 1 + 0.25 * 3) + 0.25 * -1;
  const auto version = w._version();
  {
    const Average::Scope scope(&average, [] {});
    CHECK(w[1].item<double>() == Approx(expected));
    CHECK(w._version() > version);
  }
  CHECK(w[1].item<double>() == -1);
  CHECK(w.requires_grad());
  CHECK(stored(average).at("llm/w#ema").whole()[0].item<double>() == Approx(expected));
}

TEST_CASE("averages are restored to the bit, and their lack is an error") {
  auto w = at::full({2}, 0.1f).set_requires_grad(true), other = at::full({2}, 7.0f).set_requires_grad(true);
  Average average({{"llm/w", &w}}, 0.9), again({{"llm/w", &other}}, 0.9);
  set(w, 0.3f), average.update();
  again.restore(stored(average));
  set(other, 0.7f), set(w, 0.7f);
  average.update(), again.update();
  CHECK(at::equal(stored(average).at("llm/w#ema").whole(), stored(again).at("llm/w#ema").whole()));
  CHECK_THROWS_AS(again.restore({}), Error);
  CHECK_THROWS_AS(again.restore({{"llm/w#ema", at::zeros({3})}}), Error);
}

TEST_CASE("averages take the places of the parameters that have one, and of at least one") {
  const checkpoint::StoredTensors parameters{{"a", at::zeros({1})}, {"b", at::zeros({1})}};
  const auto both = averaged(parameters, {{"a#ema", at::ones({1})}, {"a#exp_avg", at::zeros({1})}});
  CHECK(both.at("a").whole().item<double>() == 1);
  CHECK(both.at("b").whole().item<double>() == 0);
  CHECK_THROWS_AS(averaged(parameters, {{"a#exp_avg", at::zeros({1})}}), Error);
}
