#include <antiphon/nn/deferred_gradients.h>

#include <torch/csrc/autograd/autograd.h>

namespace antiphon::nn {
namespace {

thread_local DeferredGradients* gradients_now = nullptr;

}  // namespace

DeferredGradients::Scope::Scope(DeferredGradients* gradients) : before_(std::exchange(gradients_now, gradients)) {}
DeferredGradients::Scope::~Scope() { gradients_now = before_; }
DeferredGradients* DeferredGradients::now() { return gradients_now; }

void DeferredGradients::compute() {
  for (auto& [weight, gradient] : std::exchange(later_, {})) torch::autograd::backward({weight}, {gradient()});
}

}  // namespace antiphon::nn
