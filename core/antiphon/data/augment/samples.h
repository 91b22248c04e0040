// A sound's samples as a tensor, to compute with, and back. Used inside this area.
#pragma once
#include <ATen/core/Tensor.h>

#include <antiphon/component/media_item.h>

namespace antiphon::data {

// float64 [samples].
at::Tensor as_tensor(const Audio& audio);
// To float32.
std::vector<float> as_samples(const at::Tensor& tensor);

}  // namespace antiphon::data
