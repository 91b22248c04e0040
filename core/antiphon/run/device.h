// Devices by their names.
#pragma once
#include <ATen/core/Tensor.h>

#include <string>

namespace antiphon::run {

// "cpu", "cuda" or "cuda:N". Of several processes on a machine, each gets a GPU of its own by "cuda", as far as there
// are enough. Opens libtorch_cuda.so if a CUDA device is asked for; Error(config) if there is none.
at::Device open_device(const std::string& name);

}  // namespace antiphon::run
