#include <antiphon/train/step_seed.h>

#include <ATen/Context.h>
#include <ATen/core/Generator.h>

#include <antiphon/base/mixed.h>

#include <mutex>

namespace antiphon::train {
namespace {

void seed_one(at::Device device, uint64_t seed) {
  auto generator = at::globalContext().defaultGenerator(device);
  const std::scoped_lock lock(generator.mutex());
  generator.set_current_seed(seed);
}

}  // namespace

uint64_t seed_of(uint64_t seed, int64_t step, int64_t row) {
  return mixed(mixed(mixed(0, seed), static_cast<uint64_t>(step)), static_cast<uint64_t>(row));
}

void seed_generators(at::Device device, uint64_t seed) {
  seed_one(at::kCPU, seed);
  if (!device.is_cpu()) seed_one(device, seed);
}

}  // namespace antiphon::train
