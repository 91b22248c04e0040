#include "network.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <antiphon/base/strings.h>

#include <set>

namespace antiphon::apps::conformance {
namespace {

std::vector<at::Tensor> tensors(Module& module) {
  std::vector<at::Tensor> all;
  for (const auto& parameter : module.parameters()) all.push_back(*parameter.tensor);
  return all;
}

void names_are_unique(const MakeNetwork& make) {
  const auto a = make(), b = make();
  std::set<std::string> seen;
  for (const auto& parameter : a.module->parameters()) {
    expect(!parameter.name.empty(), "expected a name for every parameter, got an empty one");
    expect(seen.insert(parameter.name).second, "expected unique names, got '{}' twice", parameter.name);
    expect(parameter.tensor->is_meta(), "expected '{}' on the meta device after building, got {}", parameter.name,
           parameter.tensor->device().str());
  }
  expect(b.module->parameters().size() == seen.size(), "expected {} parameters in a second instance too, got {}",
         seen.size(), b.module->parameters().size());
}

void starts_by_seed(const MakeNetwork& make) {
  const auto a = make(), b = make();
  a.module->initialize(7, at::kCPU), b.module->initialize(7, at::kCPU);
  const auto parameters = a.module->parameters(), again = b.module->parameters();
  for (size_t i = 0; i < parameters.size(); ++i) {
    expect_finite(*parameters[i].tensor, parameters[i].name);
    expect(at::equal(*parameters[i].tensor, *again[i].tensor), "expected the same values of '{}' from the same seed",
           parameters[i].name);
  }
}

void instances_are_independent(const MakeNetwork& make) {
  c10::AutoGradMode no_grad(false);
  const auto a = started(make, 1), b = started(make, 2);
  const auto before = a.forward(at::kFloat);
  for (auto& tensor : tensors(*b.module)) tensor.zero_();
  b.forward(at::kFloat);
  expect(at::equal(before, a.forward(at::kFloat)), "expected the output of one instance to stay when another changes");
}

void repeats_itself(const MakeNetwork& make) {
  c10::AutoGradMode no_grad(false);
  const auto a = started(make, 1), b = started(make, 1);
  const auto y = a.forward(at::kFloat);
  expect_finite(y, "the output");
  expect(at::equal(y, a.forward(at::kFloat)), "expected the same output from the same input, got another");
  expect(at::equal(y, b.forward(at::kFloat)), "expected the same output from the same seed, got another");
}

// Those that are trained: all but running statistics and the like.
std::vector<Parameter> trainable(Module& module) {
  auto parameters = module.parameters();
  std::erase_if(parameters, [](const Parameter& parameter) { return parameter.fixed; });
  return parameters;
}

std::vector<at::Tensor> trainable_tensors(Module& module) {
  std::vector<at::Tensor> all;
  for (const auto& parameter : trainable(module)) all.push_back(*parameter.tensor);
  return all;
}

// A scalar that every output value takes part in.
at::Tensor objective(const at::Tensor& y) { return (y.to(at::kDouble) * made(y.sizes(), 11).to(at::kDouble)).sum(); }

void gradient_reaches_all(const MakeNetwork& make) {
  const auto network = started(make, 3);
  network.module->set_requires_grad(true);
  const auto parameters = trainable(*network.module);
  const auto y = network.forward(at::kFloat);
  expect(y.requires_grad(), "expected an output that carries a gradient, got one that is cut off");
  const auto grads = torch::autograd::grad({objective(y)}, trainable_tensors(*network.module), {}, std::nullopt, false,
                                           /*allow_unused=*/true);
  std::vector<std::string> missed;
  for (size_t i = 0; i < grads.size(); ++i) {
    if (!grads[i].defined() || grads[i].abs().max().item<double>() == 0)
      missed.push_back(parameters[i].name);
    else
      expect_finite(grads[i], "the gradient of " + parameters[i].name);
  }
  expect(missed.empty(), "expected a gradient for all {} parameters, got none for {}: {}", parameters.size(),
         missed.size(), join(missed, ", "));
}

// Along a random direction, each parameter by its own size.
struct Slope {
  double expected = 0, measured = 0, tolerance = 0;
  bool jumps = false;  // the slopes on both sides differ: a router has changed its mind in between
  bool right() const { return std::abs(measured - expected) <= tolerance; }
};

Slope slope_along(const MakeNetwork& make, uint64_t seed) {
  const auto network = started(make, 3);
  network.module->set_requires_grad(true);
  const auto all = trainable_tensors(*network.module);
  const auto here = objective(network.forward(at::kFloat));
  const auto grads = torch::autograd::grad({here}, all, {}, std::nullopt, false, true);
  c10::AutoGradMode no_grad(false);
  constexpr double step = 5e-3;
  std::vector<at::Tensor> directions;
  Slope slope;
  double scale = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    directions.push_back(made(all[i].sizes(), seed + i) * all[i].square().mean().sqrt());
    if (!grads[i].defined()) continue;
    const auto term = grads[i].to(at::kDouble) * directions.back();
    slope.expected += term.sum().item<double>(), scale += term.square().sum().item<double>();
  }
  const auto moved = [&](double by) {
    for (size_t i = 0; i < all.size(); ++i) all[i].add_(directions[i], by);
    return objective(network.forward(at::kFloat)).item<double>();
  };
  const double middle = here.item<double>(), up = moved(step), down = moved(-2 * step);
  slope.measured = (up - down) / (2 * step), slope.tolerance = 0.03 * std::sqrt(scale) + 1e-6;
  slope.jumps = std::abs((up - middle) - (middle - down)) / step > 10 * slope.tolerance;
  return slope;
}

// Central difference against autograd, both in float32.
void gradient_is_right(const MakeNetwork& make) {
  constexpr uint64_t kDirections = 8, kApart = 1000;
  Slope slope;
  for (uint64_t i = 0; i < kDirections; ++i) {
    slope = slope_along(make, 100 + i * kApart);
    if (slope.right() || !slope.jumps) break;
  }
  expect(slope.right(), "expected a slope of {:.5g} as autograd says, a finite difference gives {:.5g}", slope.expected,
         slope.measured);
}

void frozen_makes_none(const MakeNetwork& make) {
  const auto network = started(make, 3);
  network.module->set_requires_grad(false);
  expect(!network.forward(at::kFloat).requires_grad(),
         "expected no gradient if every parameter is frozen, got an output that carries one");
}

void runs_in_bf16(const MakeNetwork& make) {
  c10::AutoGradMode no_grad(false);
  const auto network = started(make, 4);
  const auto y32 = network.forward(at::kFloat);
  const auto masters = network.forward(at::kBFloat16);  // float32 parameters, as when they are trained
  network.module->to(at::kCPU, at::kBFloat16);
  const auto y16 = network.forward(at::kBFloat16);
  for (const auto& y : {masters, y16}) {
    expect(y.scalar_type() == at::kBFloat16, "expected bf16 out of bf16, got {}", at::toString(y.scalar_type()));
    expect_finite(y, "the output");
    expect_close(y.to(at::kFloat), y32, 0.2, "in bf16 against float32");
  }
}

void moves_and_returns(const MakeNetwork& make) {
  const auto network = started(make, 5);
  network.module->set_requires_grad(true);
  c10::AutoGradMode no_grad(false);
  const auto before = network.forward(at::kFloat);
  network.module->to(at::kCPU, at::kDouble);
  for (const auto& parameter : network.module->parameters())
    expect(parameter.tensor->scalar_type() == at::kDouble, "expected '{}' in float64 after to(), got {}",
           parameter.name, at::toString(parameter.tensor->scalar_type()));
  network.module->to(at::kCPU, at::kFloat);
  for (const auto& parameter : network.module->parameters())
    expect(parameter.tensor->requires_grad() != parameter.fixed,
           "expected '{}' to require a gradient after to() as before", parameter.name);
  expect(at::equal(before, network.forward(at::kFloat)), "expected the same output after float64 and back");
}

void roles_fit(const MakeNetwork& make) {
  const auto network = make();
  for (const auto& parameter : trainable(*network.module)) {
    const auto sizes = parameter.tensor->sizes();
    expect(parameter.role != Role::matrix || sizes.size() == 2, "expected a matrix [out, in], got '{}' [{}]",
           parameter.name, fmt::join(sizes, ", "));
  }
}

}  // namespace

at::Tensor made(at::IntArrayRef shape, uint64_t seed) {
  auto generator = at::detail::createCPUGenerator(seed);
  return at::randn(shape, generator, at::TensorOptions().dtype(at::kFloat));
}

void start(Module& module, uint64_t seed) {
  c10::AutoGradMode no_grad(false);
  module.initialize(seed, at::kCPU);
  for (auto& tensor : tensors(module)) tensor.add_(made(tensor.sizes(), ++seed).to(tensor.scalar_type()), 0.05);
}

Network started(const MakeNetwork& make, uint64_t seed) {
  auto network = make();
  start(*network.module, seed);
  return network;
}

void check_network(Report& report, const MakeNetwork& make) {
  report.check("parameters: on the meta device, with unique names", [&] { names_are_unique(make); });
  report.check("parameters: the same seed gives the same finite values", [&] { starts_by_seed(make); });
  report.check("forward: the same input and seed give the same output", [&] { repeats_itself(make); });
  report.check("forward: bf16 runs and is near float32, with parameters in bf16 and in float32",
               [&] { runs_in_bf16(make); });
  if (make().module->parameters().empty()) return;
  report.check("parameters: what is declared a matrix is one", [&] { roles_fit(make); });
  report.check("parameters: two instances share nothing", [&] { instances_are_independent(make); });
  report.check("parameters: to(device, dtype) and back changes nothing", [&] { moves_and_returns(make); });
  report.check("gradient: reaches every trainable parameter", [&] { gradient_reaches_all(make); });
  if (make().exact_gradient)
    report.check("gradient: agrees with a finite difference", [&] { gradient_is_right(make); });
  report.check("gradient: none if the parameters are frozen", [&] { frozen_makes_none(make); });
}

}  // namespace antiphon::apps::conformance
