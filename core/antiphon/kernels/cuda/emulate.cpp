#include <antiphon/kernels/cuda/emulate.h>

#include <c10/util/Float8_e4m3fn.h>
#include <c10/util/Float8_e5m2.h>
#include <c10/util/Half.h>
#include <ucontext.h>

#include <memory>
#include <stdexcept>
#include <vector>

namespace antiphon::kernels::cuda {

Index threadIdx, blockIdx, blockDim, gridDim;

namespace {

constexpr size_t kStack = 64 * 1024, kWarp = 32;

struct Fiber {
  ucontext_t context{};
  std::unique_ptr<char[]> stack = std::make_unique<char[]>(kStack);
  unsigned index = 0;
  bool done = false;
};

// Threads that have come to a barrier, and how often it has opened.
struct Barrier {
  size_t came = 0, opened = 0;
};

struct Block {
  std::vector<Fiber> fibers;
  std::vector<Barrier> warps;
  std::vector<float> shuffled;
  Barrier all;
  size_t running = 0;
  Fiber* now = nullptr;
  ucontext_t scheduler{};
  const std::function<void()>* kernel = nullptr;
};

Block* block = nullptr;

void wait(Barrier& barrier, size_t wanted) {
  const size_t before = barrier.opened;
  if (++barrier.came == wanted) {
    barrier.came = 0, ++barrier.opened;
    return;
  }
  auto* self = block->now;
  while (barrier.opened == before) swapcontext(&self->context, &block->scheduler);
}

void run_fiber() {
  (*block->kernel)();
  block->now->done = true;
  --block->running;
  swapcontext(&block->now->context, &block->scheduler);
}

void start(Fiber& fiber, unsigned index) {
  fiber.index = index, fiber.done = false;
  getcontext(&fiber.context);
  fiber.context.uc_stack = {fiber.stack.get(), 0, kStack};
  makecontext(&fiber.context, run_fiber, 0);
}

void run_block() {
  auto& b = *block;
  b.running = b.fibers.size();
  for (unsigned i = 0; i < b.fibers.size(); ++i) start(b.fibers[i], i);
  while (b.running) {
    const size_t running = b.running, opened = b.all.opened;
    bool moved = false;
    for (auto& fiber : b.fibers) {
      if (fiber.done) continue;
      const auto came = b.all.came;
      const auto warp = b.warps[fiber.index / kWarp];
      b.now = &fiber, threadIdx = {fiber.index, 0, 0};
      swapcontext(&b.scheduler, &fiber.context);
      const auto& after = b.warps[fiber.index / kWarp];
      moved |= came != b.all.came || warp.came != after.came || warp.opened != after.opened;
    }
    if (!moved && running == b.running && opened == b.all.opened)
      throw std::logic_error("a kernel's threads wait for each other: not all of them came to a barrier");
  }
}

}  // namespace

void emulate(dim3 blocks, dim3 threads, const std::function<void()>& kernel) {
  if (threads.x == 0 || threads.x % kWarp || threads.x > 1024 || blocks.y > 65535 || blocks.z > 65535 || !blocks.x)
    throw std::logic_error("a launch that a device would refuse");
  Block of_launch;
  of_launch.fibers.resize(threads.x), of_launch.shuffled.resize(threads.x);
  of_launch.kernel = &kernel;
  block = &of_launch, blockDim = {threads.x, 1, 1}, gridDim = {blocks.x, blocks.y, blocks.z};
  for (unsigned z = 0; z < blocks.z; ++z)
    for (unsigned y = 0; y < blocks.y; ++y)
      for (unsigned x = 0; x < blocks.x; ++x) {
        blockIdx = {x, y, z};
        of_launch.warps.assign(threads.x / kWarp, {}), of_launch.all = {};
        run_block();
      }
  block = nullptr;
}

void __syncthreads() { wait(block->all, block->running); }

float __half2float(__half value) { return c10::Half(value.bits, c10::Half::from_bits()); }
__half __float2half_rn(float value) { return {c10::Half(value).x}; }

uint8_t __nv_cvt_float_to_fp8(float value, __nv_saturation_t, __nv_fp8_interpretation_t format) {
  const float most = format == __NV_E5M2 ? 57344.0f : 448.0f;
  const float within = value != value ? value : std::fmin(std::fmax(value, -most), most);
  return format == __NV_E5M2 ? c10::Float8_e5m2(within).x : c10::Float8_e4m3fn(within).x;
}

float __shfl_xor_sync(unsigned, float value, int offset) {
  const auto* self = block->now;
  auto& warp = block->warps[self->index / kWarp];
  block->shuffled[self->index] = value;
  wait(warp, kWarp);
  const float other = block->shuffled[self->index ^ static_cast<unsigned>(offset)];
  wait(warp, kWarp);
  return other;
}

}  // namespace antiphon::kernels::cuda
