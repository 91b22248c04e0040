#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <c10/core/DefaultDtype.h>
#include <c10/core/GradMode.h>
#include <fmt/ranges.h>

#include <clocale>

#include <antiphon/base/strings.h>

#include "network.h"

namespace antiphon::apps::conformance {
namespace {

at::Tensor generator_state() { return at::detail::getDefaultCPUGenerator().get_state(); }

std::string locale() { return std::setlocale(LC_ALL, nullptr); }

}  // namespace

GlobalState::GlobalState()
    : dtype_(c10::get_default_dtype()),
      gradients_(at::GradMode::is_enabled()),
      generator_(generator_state()),
      threads_(at::get_num_threads()),
      locale_(locale()) {}

void GlobalState::check_unchanged(Report& report) const {
  report.check("global state: default dtype, gradient mode, random generator, threads and locale are as before", [&] {
    expect(c10::get_default_dtype() == dtype_, "expected the default dtype to stay {}, got {}", dtype_.name(),
           c10::get_default_dtype().name());
    expect(at::GradMode::is_enabled() == gradients_, "expected the gradient mode to stay {}, got {}", gradients_,
           !gradients_);
    expect(at::equal(generator_, generator_state()),
           "expected the default random generator untouched, got another state: draw from a generator of your own");
    expect(at::get_num_threads() == threads_, "expected {} threads, got {}", threads_, at::get_num_threads());
    expect(locale() == locale_, "expected the locale {}, got {}", locale_, locale());
  });
}

void expect_gradient(const at::Tensor& x, const std::string& on_what) {
  expect(x.grad().defined() && x.grad().abs().max().item<double>() > 0, "expected a gradient on {}, got none", on_what);
}

void expect_finite(const at::Tensor& x, const std::string& what) {
  expect(at::isfinite(x).all().item<bool>(), "expected finite values in {}, got inf or nan", what);
}

void expect_shape(const at::Tensor& x, at::IntArrayRef shape, const std::string& what) {
  expect(x.defined() && x.sizes() == shape, "expected {} of shape [{}], got [{}]", what, fmt::join(shape, ", "),
         x.defined() ? fmt::format("{}", fmt::join(x.sizes(), ", ")) : "nothing");
}

void expect_close(const at::Tensor& got, const at::Tensor& wanted, double tolerance, const std::string& what) {
  expect_shape(got, wanted.sizes(), what);
  if (wanted.numel() == 0) return;
  const double scale = wanted.abs().max().item<double>(),
               apart = (got.to(at::kDouble) - wanted.to(at::kDouble)).abs().max().item<double>();
  expect(apart <= tolerance * scale, "{}: expected a difference of at most {:.1e} of the output's scale, got {:.1e}",
         what, tolerance, scale > 0 ? apart / scale : apart);
}

bool check_size(Report& report, const Subject& subject, Module& module) {
  return report.check("size: small enough to run here", [&] {
    const int64_t count = module.parameter_count();
    expect(count <= max_parameters,
           "expected at most {} parameters, got {} with these options; give small ones: --options FILE with [{}.{}]",
           human_count(max_parameters), human_count(static_cast<double>(count)), subject.entry.kind,
           subject.entry.name);
  });
}

}  // namespace antiphon::apps::conformance
