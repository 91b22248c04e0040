// Activations by the names that Hugging Face configurations use.
#pragma once
#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace antiphon::nn {

// "gelu" (erf), "gelu_tanh" (also "gelu_pytorch_tanh", "gelu_new"), "relu", "relu2" (its square, So et al. 2021),
// "silu" (also "swish"), "quick_gelu" (x · sigmoid(1.702 x), CLIP).
const std::vector<std::string>& activation_names();
// Whether it is GELU by tanh, under any of its names.
bool is_tanh_gelu(const std::string& name);
// Error(config) for another name. In place if is_spare(x).
at::Tensor activate(const std::string& name, at::Tensor x);
// Whether x, passed by value, is uniquely owned and no gradient is wanted, so that it may be overwritten.
bool is_spare(const at::Tensor& x);
// silu(gate) · up, one autograd node.
at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up);

}  // namespace antiphon::nn
