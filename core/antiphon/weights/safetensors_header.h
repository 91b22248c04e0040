// The header of a safetensors file, parsed strictly and without LibTorch (so that it can be fuzzed alone).
//
// Format: 8 bytes little-endian length N, N bytes JSON, then the tensors' bytes, which the offsets in the header cover
// exactly: no hole, no overlap, nothing after the last. Source: huggingface/safetensors, README.md and
// safetensors/src/tensor.rs (v0.8.0). Every file that this parser accepts, the package accepts too. What the package
// accepts and this parser does not: duplicate keys and blanks before '{' (both forbidden by the README), a tensor's
// description as a JSON array or its dtype as an object (quirks of its JSON library), and more than 1,000,000 tensors.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace antiphon::weights {

inline constexpr uint64_t max_header_bytes = 100'000'000;
inline constexpr size_t max_tensors = 1'000'000;

// In the order of increasing alignment, by which the reference sorts what it writes.
enum class Dtype : uint8_t {
  BOOL,
  F4,
  F6_E2M3,
  F6_E3M2,
  U8,
  I8,
  F8_E5M2,
  F8_E4M3,
  F8_E8M0,
  F8_E4M3FNUZ,
  F8_E5M2FNUZ,
  I16,
  U16,
  F16,
  BF16,
  I32,
  U32,
  F32,
  C64,
  F64,
  I64,
  U64,
};

// "BF16"
std::string_view to_string(Dtype dtype);
std::optional<Dtype> dtype_from_string(std::string_view name);
uint64_t bits_of(Dtype dtype);

struct TensorInfo {
  std::string name;
  Dtype dtype{};
  std::vector<uint64_t> shape;  // empty: a scalar
  uint64_t begin = 0, end = 0;  // bytes after the header
  uint64_t bytes() const { return end - begin; }
};

struct SafetensorsHeader {
  std::vector<TensorInfo> tensors;              // by their place in the file
  std::map<std::string, std::string> metadata;  // "__metadata__"
  uint64_t data_start = 0;                      // where the tensors' bytes begin in the file
};

// Parses and checks the header of a file of these bytes. Error(weights) that names `file` and the place. Reads no
// byte after the header and allocates in proportion to it.
SafetensorsHeader parse_safetensors(std::string_view bytes, const std::string& file);

// The 8 bytes of length and the header, padded with blanks to a multiple of 8, as the reference writes it.
// `tensors` are in the order of their offsets.
std::string write_safetensors_header(const std::vector<TensorInfo>& tensors,
                                     const std::map<std::string, std::string>& metadata);

}  // namespace antiphon::weights
