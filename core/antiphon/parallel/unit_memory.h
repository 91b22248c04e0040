// Memory for parameters that have some at times only. Used inside this area.
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

namespace antiphon::parallel {

// Memory of units that are not whole, for the next that are: fresh pages cost as much as copying. All are on one
// device, whose exchanges wait for what was computed before them: what is given back may still be read by that.
class UnitMemory {
 public:
  at::Tensor take(int64_t bytes, c10::Device device);
  void give_back(at::Tensor memory);
  void clear() { free_.clear(); }

 private:
  std::vector<at::Tensor> free_;
};

// Makes the storage of `x` this place in memory. Its version stays: what autograd has saved of it is still valid.
void point(const at::Tensor& x, const at::Tensor& memory, int64_t place);
void take_memory(const at::Tensor& x);
// Values of `like`'s dtype and shape at a place in memory, apart from its version.
at::Tensor values_at(const at::Tensor& memory, int64_t place, const at::Tensor& like);
int64_t aligned_bytes(const at::Tensor& x);  // what it takes there

// A tensor of this dtype and shape in the host's memory, pinned if x is a GPU's. For one of the meta device another one
// there, without memory: what it stands for is not the device's.
at::Tensor empty_in_host_memory(const at::Tensor& x);
// The values of x there: x itself if it is there and contiguous.
at::Tensor in_host_memory(const at::Tensor& x);

}  // namespace antiphon::parallel
