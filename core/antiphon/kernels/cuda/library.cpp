// The parts of libantiphon_cuda.so besides the kernels: streams, graphs, and its one entry point.
#include <ATen/cuda/CUDAGeneratorImpl.h>
#include <ATen/cuda/CUDAGraph.h>
#include <antiphon/kernels/cuda/bind.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

namespace antiphon::kernels::cuda {

void launch_on(const at::Tensor& x, const std::function<void(cudaStream_t)>& body) {
  const c10::cuda::CUDAGuard guard(x.device());
  body(c10::cuda::getCurrentCUDAStream(x.device().index()));
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

namespace {

struct Recording {
  explicit Recording(c10::Device on) : device(on) {}
  at::cuda::CUDAGraph graph;
  c10::Device device;
};

// Ends a capture that `work` aborted, so that the stream and the allocator are usable again.
void abandon(at::cuda::CUDAGraph& graph) {
  try {
    graph.capture_end();
  } catch (const std::exception&) {
    (void)cudaGetLastError();
  }
}

void record(Recording& recording, const std::function<void()>& work) {
  // Other threads, which load data, may go on: only this one must not do what cannot be recorded.
  recording.graph.capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
  try {
    work();
  } catch (...) {
    abandon(recording.graph);
    throw;
  }
  recording.graph.capture_end();
}

std::shared_ptr<void> capture(c10::Device device, const std::function<void()>& work) {
  const c10::cuda::CUDAGuard guard(device);
  const auto before = c10::cuda::getCurrentCUDAStream(device.index());
  const auto own = c10::cuda::getStreamFromPool(false, device.index());
  before.synchronize();
  auto recording = std::make_shared<Recording>(device);
  {
    const c10::cuda::CUDAStreamGuard on_own(own);
    work();  // libraries initialise themselves at their first call, which cannot be recorded
    own.synchronize();
    record(*recording, work);
  }
  return recording;
}

void replay(void* graph) {
  auto& recording = *static_cast<Recording*>(graph);
  const c10::cuda::CUDAGuard guard(recording.device);
  recording.graph.replay();
}

}  // namespace
}  // namespace antiphon::kernels::cuda

extern "C" __attribute__((visibility("default"))) const void* antiphon_cuda_table() {
  using namespace antiphon::kernels;
  static const auto* table = [] {
    auto* made = new CudaTable(cuda::bound_table());
    made->capture = cuda::capture, made->replay = cuda::replay;
    return made;
  }();
  return table;
}
