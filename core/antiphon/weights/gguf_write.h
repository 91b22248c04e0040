// Writes GGUF files (base/gguf.h): metadata of given types, then tensors one after another.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <antiphon/base/gguf.h>
#include <antiphon/weights/lazy_tensor.h>

namespace antiphon::weights {

class GgufMetadata {
 public:
  void put(std::string_view key, std::string_view text);
  void put(std::string_view key, bool flag);
  void put(std::string_view key, uint32_t number);
  void put(std::string_view key, float number);
  void put(std::string_view key, const std::vector<std::string>& texts);
  void put(std::string_view key, const std::vector<float>& numbers);
  void put(std::string_view key, const std::vector<int32_t>& numbers);
  const std::string& bytes() const { return bytes_; }
  uint64_t entries() const { return entries_; }

 private:
  void begin(std::string_view key, uint32_t type);
  std::string bytes_;
  uint64_t entries_ = 0;
};

// A tensor of the file: `values` gives floating point numbers of these sizes, which become blocks of `type`.
struct GgufOutput {
  GgmlType type;
  LazyTensor tensor;
};

// All of it is on the disk before the file takes its name; one tensor is in memory at a time. Error(weights) for I/O,
// rows that are not whole blocks, and numbers that are not finite.
void save_gguf(const std::filesystem::path& path, const GgufMetadata& metadata, const std::vector<GgufOutput>& tensors);

}  // namespace antiphon::weights
