#include <antiphon/parallel/unit_memory.h>

#include <ATen/ATen.h>

#include <algorithm>

namespace antiphon::parallel {

at::Tensor UnitMemory::take(int64_t bytes, c10::Device device) {
  const auto fits = std::ranges::find_if(free_, [&](const at::Tensor& memory) { return memory.numel() == bytes; });
  if (fits == free_.end()) return at::empty({bytes}, at::TensorOptions(device).dtype(at::kByte));
  auto memory = std::move(*fits);
  free_.erase(fits);
  return memory;
}

void UnitMemory::give_back(at::Tensor memory) { free_.push_back(std::move(memory)); }

void point(const at::Tensor& x, const at::Tensor& memory, int64_t place) {
  // On the meta device there is none, and the place in it is what tensors point at.
  auto* begin = memory.is_meta() ? nullptr : static_cast<char*>(memory.data_ptr());
  auto* storage = x.storage().unsafeGetStorageImpl();
  storage->set_data_ptr_noswap(at::DataPtr(begin + place, x.device()));
  storage->set_nbytes(static_cast<size_t>(x.numel()) * x.element_size());
}

void take_memory(const at::Tensor& x) {
  auto* storage = x.storage().unsafeGetStorageImpl();
  storage->set_data_ptr_noswap(at::DataPtr(nullptr, x.device()));
  storage->set_nbytes(0);
}

at::Tensor values_at(const at::Tensor& memory, int64_t place, const at::Tensor& like) {
  const auto bytes = like.numel() * static_cast<int64_t>(like.element_size());
  return memory.narrow(0, place, bytes).view(like.scalar_type()).view(like.sizes());
}

int64_t aligned_bytes(const at::Tensor& x) {
  constexpr int64_t kAligned = 64;
  const auto bytes = x.numel() * static_cast<int64_t>(x.element_size());
  return (bytes + kAligned - 1) / kAligned * kAligned;
}

at::Tensor empty_in_host_memory(const at::Tensor& x) {
  const auto options = x.options().requires_grad(false);
  if (!x.is_meta()) return at::empty(x.sizes(), options.device(at::kCPU).pinned_memory(x.is_cuda()));
  auto shape = at::empty(x.sizes(), options);
  take_memory(shape);
  return shape;
}

at::Tensor in_host_memory(const at::Tensor& x) {
  if (x.is_cpu()) return x.contiguous();
  auto values = empty_in_host_memory(x);
  if (!x.is_meta()) values.copy_(x);
  return values;
}

}  // namespace antiphon::parallel
