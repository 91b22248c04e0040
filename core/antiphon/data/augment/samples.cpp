#include <antiphon/data/augment/samples.h>

#include <ATen/ATen.h>

namespace antiphon::data {

at::Tensor as_tensor(const Audio& audio) {
  return at::tensor(at::ArrayRef<float>(audio.samples.data(), audio.samples.size()), at::kFloat).to(at::kDouble);
}

std::vector<float> as_samples(const at::Tensor& tensor) {
  const auto y = tensor.to(at::kFloat).contiguous();
  const auto* first = y.const_data_ptr<float>();
  return {first, first + y.numel()};
}

}  // namespace antiphon::data
