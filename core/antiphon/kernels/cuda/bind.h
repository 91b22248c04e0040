// The kernels' launchers behind tensors: shapes, dtypes and workspaces.
#pragma once
#include <antiphon/kernels/cuda/launch.h>
#include <antiphon/kernels/cuda_table.h>

namespace antiphon::kernels::cuda {

// Calls body with the current stream of x's device, which is the current device during the call; checks the launch.
// Defined by the library, and by the tests' emulation (stream nullptr).
void launch_on(const at::Tensor& x, const std::function<void(cudaStream_t)>& body);

// The table without capture and replay.
CudaTable bound_table();

}  // namespace antiphon::kernels::cuda
