// Tensors to write whose values are computed when their turn comes and then freed, for files larger than memory.
#pragma once
#include <filesystem>
#include <functional>

#include <antiphon/weights/safetensors.h>

namespace antiphon::weights {

struct LazyTensor {
  std::string name;
  at::ScalarType dtype;
  std::vector<int64_t> sizes;
  std::function<at::Tensor()> values;  // of that dtype and these sizes
  std::function<void()> forget = {};   // SafetensorsFile::forget() of what they were read from, if they were
};
using LazyTensors = std::vector<LazyTensor>;

// Error(weights) for tensors without data and types that the format lacks.
LazyTensors lazy(const NamedTensors& tensors);
// Bytes that it takes in a file.
uint64_t stored_bytes(const LazyTensor& tensor);

// As save_safetensors() and save_checkpoint() of tensors in memory.
void save_safetensors(const std::filesystem::path& path, const LazyTensors& tensors, const Metadata& metadata = {});
void save_checkpoint(const std::filesystem::path& folder, const LazyTensors& tensors,
                     uint64_t max_shard_bytes = 5'000'000'000);

}  // namespace antiphon::weights
