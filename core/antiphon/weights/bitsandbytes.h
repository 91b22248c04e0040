// Matrices that transformers saves in 4 bits (load_in_4bit): bitsandbytes' packed values beside the state that says
// what they stand for. Source: bitsandbytes 0.50, functional.py (QuantState.as_dict, dequantize_4bit).
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <antiphon/weights/safetensors.h>

namespace antiphon::weights {

// A tensor of a file, by its name; nothing if there is none.
using FindTensor = std::function<std::optional<at::Tensor>(const std::string&)>;

// One matrix: value i is quant_map[number i] · absmax[i / blocksize] in float32, rounded to the dtype of the state;
// with nested statistics absmax[b] = nested_quant_map[absmax[b]] · nested_absmax[b / nested_blocksize] + nested_offset.
// Two numbers lie in a byte, the first in its high half.
class FourBits {
 public:
  // `name`: of the packed values. Error(weights) naming it if the state is incomplete, or of other types, sizes or
  // ranges than bitsandbytes writes. The tensors keep their file open.
  FourBits(const std::string& name, const FindTensor& find);

  const std::vector<int64_t>& sizes() const { return sizes_; }
  at::ScalarType dtype() const { return dtype_; }
  at::Tensor values() const;

  // The name of the packed values whose state has this name; nothing for other names.
  static std::optional<std::string> matrix_of(const std::string& state_name);
  // The names of all that belongs to the matrix beside its packed values.
  static std::vector<std::string> state_names(const std::string& name);

 private:
  void read_state(const at::Tensor& bytes);
  at::Tensor scales() const;
  std::string name_;
  std::vector<int64_t> sizes_;
  at::ScalarType dtype_ = at::kFloat;
  int64_t block_ = 0, nested_block_ = 0;  // 0: statistics are float32 themselves
  double offset_ = 0;
  at::Tensor packed_, absmax_, code_, nested_absmax_, nested_code_;
};

}  // namespace antiphon::weights
