#include <antiphon/component/encoder.h>

#include <ATen/ATen.h>

namespace antiphon {

at::Tensor Encoder::forward_packed(const std::vector<at::Tensor>& parts) {
  std::vector<at::Tensor> vectors;
  for (const auto& part : parts) vectors.push_back(forward(part.unsqueeze(0)).squeeze(0));
  return at::cat(vectors);
}

}  // namespace antiphon
