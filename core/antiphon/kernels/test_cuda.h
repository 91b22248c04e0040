// Whether tests can use a CUDA device, for this folder and those above.
#pragma once
#include <ATen/Context.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <dlfcn.h>
#include <unistd.h>

#include <antiphon/kernels/cuda_table.h>

namespace antiphon::kernels::testing {

// Before any test: LibTorch asks once whether its CUDA library is there, at the first use of a random generator, say.
inline const bool opened_first =
    access("/dev/nvidiactl", F_OK) == 0 && dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL);

// Opens LibTorch's CUDA library and ours -> why a CUDA test has to be skipped, or "".
inline std::string no_cuda() {
  if (!dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL)) return "this LibTorch has no CUDA library";
  if (!at::hasCUDA() || at::detail::getCUDAHooks().deviceCount() == 0) return "no CUDA device is there";
  return open_cuda_kernels();
}

}  // namespace antiphon::kernels::testing
