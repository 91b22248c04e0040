// Blocks of GGUF tensors as float32. Formats: ggml-org/ggml, src/ggml-common.h and ggml-quants.c.
#pragma once
#include <span>

#include <antiphon/base/gguf.h>

namespace antiphon::weights {

// Whether read_blocks() knows this type.
bool has_blocks(GgmlType type);
// Every number of `bytes`, in order; the same bits as `dequantize` of the Python package gguf 0.19, which rounds after
// each multiplication and each addition.
void read_blocks(GgmlType type, std::string_view bytes, std::span<float> out);

// The blocks of these numbers; F32, F16, BF16, Q8_0 and Q4_0, as `quantize` of that package makes them. The count is a
// multiple of the block's.
std::string write_blocks(GgmlType type, std::span<const float> numbers);

}  // namespace antiphon::weights
