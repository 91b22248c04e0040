// The number formats in which a model computes: what `precision.compute` means on a device.
#pragma once
#include <ATen/core/Tensor.h>

#include <string>

namespace antiphon::model {

struct NumberFormats {
  at::ScalarType compute = at::kFloat;   // of activations and frozen parameters; trained ones are float32
  at::ScalarType matrices = at::kFloat;  // of the language model's frozen matrices; products widen what is narrower
  std::string reason;                    // "bf16: this processor multiplies it (avx512_bf16)"
};

// `compute`: "fp32"; "bf16"; "fp16"; "auto": what the device computes fastest among the formats that train well. bf16
// on a processor without instructions for it means bf16 matrices in float32 products, which are faster there and as
// accurate. "auto" takes fp16 on a GPU without bf16 products alone (compute capability below 8.0).
NumberFormats number_formats(const std::string& compute, at::Device device);

// What "auto" is on a GPU that has bf16 products, or has not.
NumberFormats gpu_formats(bool has_bf16);

// "fp32", "bf16", "fp16", "bf16 matrices, fp32 products"
std::string name_of(const NumberFormats& formats);

}  // namespace antiphon::model
