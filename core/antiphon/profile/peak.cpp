#include <antiphon/profile/peak.h>

#include <ATen/ATen.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/GradMode.h>

#include <chrono>
#include <cmath>

namespace antiphon::profile {
namespace {

using Clock = std::chrono::steady_clock;
double since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

// The first product compiles and warms up; it counts too if there is no time for another.
double best_of(int64_t size, at::TensorOptions options, double limit) {
  const auto x = at::full({size, size}, 0.5, options), y = at::full({size, size}, 0.25, options);
  const auto begin = Clock::now();
  double best = 0;
  for (int n = 0; n < 8 && (n == 0 || since(begin) < limit); ++n) {
    const auto start = Clock::now();
    const auto z = at::mm(x, y);
    synchronize(options.device());
    best = std::max(best, 2 * std::pow(static_cast<double>(size), 3) / since(start));
  }
  return best;
}

}  // namespace

void synchronize(at::Device device) {
  if (device.is_cuda()) at::detail::getCUDAHooks().deviceSynchronize(std::max<c10::DeviceIndex>(device.index(), 0));
}

double measured_peak(at::Device device, at::ScalarType dtype) {
  c10::AutoGradMode no_grad(false);
  const auto options = at::TensorOptions().device(device).dtype(dtype);
  const int64_t small = device.is_cpu() ? 1024 : 4096;
  return std::max(best_of(small, options, 0.3), best_of(2 * small, options, 0.5));
}

}  // namespace antiphon::profile
