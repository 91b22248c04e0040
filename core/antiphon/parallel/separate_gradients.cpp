#include <antiphon/parallel/separate_gradients.h>

#include <ATen/ATen.h>

namespace antiphon::parallel {

void separate_gradients(const std::vector<Parameter>& parameters) {
  c10::AutoGradMode no_grad(false);
  for (const auto& parameter : parameters) {
    auto& gradient = parameter.tensor->mutable_grad();
    if (gradient.defined() && gradient.storage().use_count() > 1) gradient = gradient.clone();
  }
}

}  // namespace antiphon::parallel
