// Whether tests can use a CUDA device, for this folder and those above.
#pragma once
#include <ATen/Context.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <dlfcn.h>

#include <antiphon/kernels/cuda_table.h>

namespace antiphon::kernels::testing {

// Opens LibTorch's CUDA library and ours -> why a CUDA test has to be skipped, or "".
inline std::string no_cuda() {
  if (!dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL)) return "this LibTorch has no CUDA library";
  if (!at::hasCUDA() || at::detail::getCUDAHooks().deviceCount() == 0) return "no CUDA device is there";
  return open_cuda_kernels();
}

}  // namespace antiphon::kernels::testing
