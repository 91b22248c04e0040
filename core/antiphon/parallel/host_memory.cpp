#include <antiphon/parallel/host_memory.h>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <antiphon/nn/linear/linear.h>

#include <set>

namespace antiphon::parallel {

HostMemory::HostMemory(const std::vector<Parameter>& parameters, UnitMemory& memory) : memory_(memory) {
  c10::AutoGradMode no_grad(false);
  for (const auto& parameter : parameters) {
    auto& tensor = *parameter.tensor;
    // On the meta device nothing is kept: what it stands for is the host's.
    auto on_host = tensor.is_meta() ? at::Tensor() : tensor.detach().contiguous().to(at::kCPU);
    if (tensor.is_cuda()) on_host = on_host.pin_memory();
    tensor = at::empty(tensor.sizes(), tensor.options().requires_grad(false));
    take_memory(tensor);
    values_.push_back({on_host, tensor, bytes_});
    bytes_ += aligned_bytes(tensor);
  }
}

HostMemory::~HostMemory() {
  for (const auto& value : values_) take_memory(value.on_device);
}

// Copies are queued on the device's stream, behind what computes at present.
void HostMemory::begin_fill() {
  if (has_memory() || values_.empty()) return;
  c10::AutoGradMode no_grad(false);
  memory_of_values_ = memory_.take(bytes_, values_[0].on_device.device());
  for (const auto& [on_host, on_device, place] : values_)
    if (on_host.defined()) values_at(memory_of_values_, place, on_device).copy_(on_host, /*non_blocking=*/true);
}

void HostMemory::wait_until_filled() {
  begin_fill();
  for (const auto& [on_host, on_device, place] : values_) point(on_device, memory_of_values_, place);
}

void HostMemory::release() {
  if (!has_memory()) return;
  for (const auto& value : values_) take_memory(value.on_device);
  memory_.give_back(std::exchange(memory_of_values_, at::Tensor()));
}

OffloadedBlocks::OffloadedBlocks(const std::vector<Module*>& blocks, size_t learns_from) {
  window_.set_learns_from(learns_from);
  for (auto* block : blocks) {
    std::set<const at::Tensor*> quantized;
    for (const auto& site : block->sites())
      if (site.linear->is_quantized()) quantized.insert(&site.linear->weight);
    std::vector<Parameter> frozen;
    for (auto& parameter : block->parameters())
      if (!parameter.fixed && parameter.tensor->numel() > 0 && !parameter.tensor->requires_grad() &&
          !quantized.contains(parameter.tensor))
        frozen.push_back(parameter);
    if (frozen.empty()) continue;
    blocks_.push_back(std::make_unique<HostMemory>(frozen, memory_));
    window_.add(*block, *blocks_.back());
  }
}

int64_t OffloadedBlocks::bytes() const {
  int64_t sum = 0;
  for (const auto& block : blocks_) sum += block->bytes();
  return sum;
}

}  // namespace antiphon::parallel
