#include <antiphon/nn/linear/of_weight.h>

#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>

namespace antiphon::nn {

void make_ordinary(const std::function<void()>& make) {
  const c10::InferenceMode ordinary(false);
  const c10::AutoGradMode no_grad(false);
  make();
}

}  // namespace antiphon::nn
