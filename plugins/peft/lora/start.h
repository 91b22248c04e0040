// Random starts of A and B.
#pragma once
#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include "adapter.h"

namespace antiphon::lora {

struct Factors {
  at::Tensor a, b;  // [rank, in], [out, rank]; undefined: as the parameter's Init says
};

// What `shape.init` draws, of the whole layer.
Factors drawn(const LoraShape& shape, const at::Generator& generator);

}  // namespace antiphon::lora
