// Safetensors files: reading without a copy, and writing without ever leaving a half-written file.
#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <antiphon/weights/safetensors_header.h>

namespace antiphon::weights {

// Named tensors, in order.
using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;
using Metadata = std::map<std::string, std::string>;

// "BF16" for at::kBFloat16. Error(weights) if the format has no such type.
Dtype dtype_of(at::ScalarType type, const std::string& tensor_name);
// The other way round. Error(weights) if LibTorch has no such type.
at::ScalarType scalar_type_of(const TensorInfo& info, const std::filesystem::path& path);

// One open file. Tensors keep its mapping alive, so they may outlive this object. Writing to a tensor changes the
// process's own copy of the page, never the file. A file that is truncated while it is mapped ends the process
// (SIGBUS), as with every mapping: replace files by renaming, as save_safetensors() does.
class SafetensorsFile {
 public:
  // Maps the file and checks its whole header. Error(weights) with the file's name.
  explicit SafetensorsFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  // By their place in the file.
  const std::vector<TensorInfo>& tensors() const { return header_.tensors; }
  const Metadata& metadata() const { return header_.metadata; }
  bool contains(const std::string& name) const { return index_.contains(name); }
  // Error(weights) if there is no such tensor.
  const TensorInfo& info(const std::string& name) const;

  // The tensor on the CPU, a view of the mapping (a copy only if it is misaligned in the file).
  // Error(weights) if LibTorch has no such dtype (F4, F6) or cannot hold the shape.
  at::Tensor tensor(const std::string& name) const;
  // Rows [begin, end) along dimension 0, likewise; only their bytes are touched.
  at::Tensor slice(const std::string& name, int64_t begin, int64_t end) const;
  // Releases the memory of a tensor that was read to be copied. It may be read again; changes to it are lost.
  void forget(const std::string& name) const;

 private:
  class Mapping;
  at::Tensor view(const TensorInfo& info, std::vector<int64_t> sizes, uint64_t offset) const;
  std::filesystem::path path_;
  std::shared_ptr<const Mapping> mapping_;
  SafetensorsHeader header_;
  std::unordered_map<std::string, size_t> index_;
};

// Writes the tensors (any device, any strides) in the reference's order, so that the bytes equal those of the Python
// package if there is at most one metadata entry. Written beside `path`, flushed, renamed: on every error the old file
// stays. Error(weights) for repeated names, types the format lacks, tensors without data, and I/O.
void save_safetensors(const std::filesystem::path& path, const NamedTensors& tensors, const Metadata& metadata = {});

// Bytes that the tensor takes in a file.
uint64_t stored_bytes(const at::Tensor& tensor);

}  // namespace antiphon::weights
