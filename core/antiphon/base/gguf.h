// GGUF files, as llama.cpp writes them: typed metadata, then tensors in blocks of numbers.
// Format: ggml-org/ggml, docs/gguf.md (versions 2 and 3, little-endian); ggml/include/gguf.h.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>

namespace antiphon {

// The numbers are those of enum ggml_type.
enum class GgmlType : uint32_t {
  F32 = 0,
  F16 = 1,
  Q4_0 = 2,
  Q4_1 = 3,
  Q5_0 = 6,
  Q5_1 = 7,
  Q8_0 = 8,
  Q2_K = 10,
  Q3_K = 11,
  Q4_K = 12,
  Q5_K = 13,
  Q6_K = 14,
  BF16 = 30,
};

// How many numbers a block has, and how many bytes it takes; "Q4_0".
struct GgmlLayout {
  uint64_t numbers, bytes;
  const char* name;
};
// Nullptr for a type that is not among those above.
const GgmlLayout* ggml_layout(GgmlType type);

struct GgufTensor {
  std::string name;
  GgmlType type{};
  std::vector<uint64_t> shape;  // the outermost dimension first, as in LibTorch
  std::string_view bytes;       // in the file
};

struct GgufContent {
  // Keys to values; integers are 64 bits wide, float32 is a double.
  nlohmann::json metadata = nlohmann::json::object();
  std::vector<GgufTensor> tensors;  // in the order of the file; their bytes do not overlap
};

// Parses a file of these bytes. Error(kind) that names `file` and the place, for anything damaged: counts, types, text
// that is not UTF-8, keys or names that are there twice, shapes, and bytes outside the file, not aligned or shared.
// Allocates in proportion to the bytes.
GgufContent parse_gguf(std::string_view bytes, const std::string& file, ErrorKind kind);

// A path whose name ends in ".gguf".
bool is_gguf(const std::filesystem::path& path);

// One open file, mapped as long as a copy of it lives.
class GgufFile {
 public:
  // Error(kind) if it cannot be opened, and as parse_gguf.
  GgufFile(const std::filesystem::path& path, ErrorKind kind);
  const nlohmann::json& metadata() const { return content_->metadata; }
  const std::vector<GgufTensor>& tensors() const { return content_->tensors; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  std::shared_ptr<const void> mapping_;
  std::shared_ptr<const GgufContent> content_;
};

}  // namespace antiphon
