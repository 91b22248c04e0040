#include <antiphon/train/separate_gradients.h>

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

namespace antiphon::train {

int64_t separate_gradients(const std::vector<Parameter>& parameters) {
  std::vector<std::pair<const char*, at::Tensor*>> begins;
  for (const auto& parameter : parameters) {
    auto& grad = parameter.tensor->mutable_grad();
    if (grad.defined() && grad.has_storage() && grad.numel() > 0)
      begins.emplace_back(static_cast<const char*>(grad.const_data_ptr()), &grad);
  }
  std::ranges::sort(begins);
  int64_t count = 0;
  const char* end = nullptr;
  for (auto& [begin, grad] : begins) {
    const char* own = begin + grad->nbytes();
    if (begin < end) *grad = grad->clone(), ++count;
    end = std::max(end, own);
  }
  return count;
}

}  // namespace antiphon::train
