#include <antiphon/run/device.h>

#include <ATen/Context.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <dlfcn.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/log.h>
#include <antiphon/comm/place.h>
#include <antiphon/kernels/cuda_table.h>

namespace antiphon::run {

at::Device open_device(const std::string& name) {
  if (name == "cpu") return at::kCPU;
  if (!name.starts_with("cuda"))
    fail(ErrorKind::config, fmt::format("unknown device '{}'", name), "use cpu, cuda or cuda:N");
  if (!dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL))
    fail(ErrorKind::config, "this LibTorch has no CUDA library (libtorch_cuda.so)",
         "use --device cpu, or a LibTorch built with CUDA");
  if (!at::hasCUDA() || at::detail::getCUDAHooks().deviceCount() == 0)
    fail(ErrorKind::config, fmt::format("device '{}' was asked for and no CUDA device is there", name),
         "use --device cpu; `antiphon doctor` says more");
  if (const auto why = kernels::open_cuda_kernels(); !why.empty())
    log::warning("no CUDA kernels of Antiphon's own, LibTorch's operations take their place: " + why +
                 " (ANTIPHON_CUDA builds them if there is an nvcc)");
  auto device = at::Device(name == "cuda" ? "cuda:0" : name);
  const int count = at::detail::getCUDAHooks().deviceCount();
  if (name == "cuda") device.set_index(static_cast<c10::DeviceIndex>(comm::local_rank() % count));
  if (device.index() >= count)
    fail(ErrorKind::config, fmt::format("device '{}' was asked for and there are {}, from cuda:0 on", name, count),
         "name one of them, or cuda");
  // What allocates on no device in particular must not do so on the first one, which is another process's.
  c10::impl::getDeviceGuardImpl(c10::kCUDA)->setDevice(device);
  // fp32 is fp32: LibTorch's convolutions would round their operands to TF32, and its products do not.
  at::globalContext().setAllowTF32CuDNN(false);
  return device;
}

}  // namespace antiphon::run
