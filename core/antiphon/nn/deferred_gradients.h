// Gradients of weights apart from the rest of the backward pass (Qi et al. 2023, Zero Bubble Pipeline Parallelism):
// what the stage before a stage waits for is the gradient of its input, and weights can wait.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <utility>
#include <vector>

namespace antiphon::nn {

// Of one batch. Products of trained matrices (nn::linear, lora) put theirs off; what others compute comes with the
// backward pass, as always.
class DeferredGradients {
 public:
  // What this thread computes forward puts off its gradients if an object of this class lived then.
  class Scope {
   public:
    explicit Scope(DeferredGradients* gradients);  // nullptr: they do not
    ~Scope();
    Scope(const Scope&) = delete;

   private:
    DeferredGradients* before_;
  };
  static DeferredGradients* now();

  // `weight`: the parameter, or what it was cast to.
  void add(const at::Tensor& weight, std::function<at::Tensor()> gradient) {
    later_.emplace_back(weight, std::move(gradient));
  }
  // Computes them, and adds each to its parameter's gradient.
  void compute();

 private:
  std::vector<std::pair<at::Tensor, std::function<at::Tensor()>>> later_;
};

}  // namespace antiphon::nn
