#include "device_bench.h"

#include <ATen/ATen.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <dlfcn.h>

#include <antiphon/base/error.h>
#include <antiphon/base/log.h>
#include <antiphon/kernels/cuda_table.h>

namespace antiphon::bench {
namespace {

at::Device opened(const std::string& name) {
  if (name == "cpu") return at::kCPU;
  dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL);
  if (!at::hasCUDA() || at::detail::getCUDAHooks().deviceCount() == 0)
    fail(ErrorKind::config, "no CUDA device is there", "run this on a machine with one, or give --device cpu");
  if (const auto why = kernels::open_cuda_kernels(); !why.empty()) log::warning("no CUDA kernels: " + why);
  return at::Device(name == "cuda" ? "cuda:0" : name);
}

void wait_for(at::Device device) {
  if (device.is_cuda()) at::detail::getCUDAHooks().deviceSynchronize(device.index());
}

}  // namespace

Bench::Bench(const DeviceFlags& flags) : flags_(flags), device_(opened(flags.device)) {}

at::Tensor Bench::random(at::IntArrayRef sizes, double scale) const {
  return at::empty(sizes, at::TensorOptions(device_).dtype(dtype())).normal_(0, scale);
}

std::vector<double> Bench::walls(const std::function<void()>& body) const { return walls_of_one(1, body); }

std::vector<double> Bench::walls_of_one(int calls, const std::function<void()>& body) const {
  auto seconds = repeat(
      flags_.repeats,
      [&] {
        for (int i = 0; i < calls; ++i) body();
        wait_for(device_);
      },
      [&] { wait_for(device_); });
  for (auto& second : seconds) second /= calls;
  return seconds;
}

double Bench::peak_mib(const std::function<void()>& body) const {
  if (!device_.is_cuda()) return 0;
  auto* allocator = at::getDeviceAllocator(at::kCUDA);
  const auto all = [&] { return allocator->getDeviceStats(device_.index()).allocated_bytes[0]; };
  allocator->resetPeakStats(device_.index());
  const auto before = all().current;
  body();
  wait_for(device_);
  return static_cast<double>(all().peak - before) / (1 << 20);
}

void Bench::print(const std::string& name, nlohmann::json facts,
                  const std::vector<std::pair<std::string, std::vector<double>>>& samples) const {
  facts["device"] = device_.str(), facts["dtype"] = flags_.dtype;
  facts["own_kernels"] = kernels::cuda_table() != nullptr;
  emit(name, std::move(facts), samples);
}

void device(const DeviceFlags& flags) {
  const Bench bench(flags);
  if (flags.part == "train") device_train(bench, false);
  if (flags.part == "full") device_train(bench, true);
  if (flags.part == "decode") device_decode(bench);
  if (flags.part == "attention") device_attention(bench);
  if (flags.part == "loss") device_loss(bench);
  if (flags.part == "kernels") device_kernels(bench);
}

}  // namespace antiphon::bench
