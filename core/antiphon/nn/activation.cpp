#include <antiphon/nn/activation.h>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <antiphon/base/error.h>
#include <antiphon/base/strings.h>
#include <antiphon/kernels/for_rows.h>

namespace antiphon::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

bool fused(const at::Tensor& gate, const at::Tensor& up) {
  return kernels::fits(gate) && gate.is_contiguous() && up.is_contiguous() && gate.scalar_type() == up.scalar_type();
}

struct SwigluFunction : torch::autograd::Function<SwigluFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& gate, const at::Tensor& up) {
    context->save_for_backward({gate, up});
    if (!fused(gate, up)) return at::silu(gate).mul_(up);
    auto y = at::empty_like(gate);
    kernels::for_rows(gate, gate.numel(), 1, [&](const auto& kernel, auto type, int64_t begin, int64_t end) {
      using T = decltype(type);
      kernel.swiglu(kernels::data<T>(gate), kernels::data<T>(up), kernels::data<T>(y), begin, end);
    });
    return y;
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto saved = context->get_saved_variables();
    const auto &gate = saved[0], &up = saved[1];
    if (!fused(gate, up)) return {at::silu_backward(grads[0] * up, gate), at::silu(gate).mul_(grads[0])};
    const auto grad = grads[0].contiguous();
    auto grad_gate = at::empty_like(gate), grad_up = at::empty_like(up);
    kernels::for_rows(gate, gate.numel(), 1, [&](const auto& kernel, auto type, int64_t begin, int64_t end) {
      using T = decltype(type);
      kernel.swiglu_backward(kernels::data<T>(grad), kernels::data<T>(gate), kernels::data<T>(up),
                             kernels::data<T>(grad_gate), kernels::data<T>(grad_up), begin, end);
    });
    return {grad_gate, grad_up};
  }
};

}  // namespace

const std::vector<std::string>& activation_names() {
  static const auto* names = new std::vector<std::string>{
      "gelu", "gelu_tanh", "gelu_pytorch_tanh", "gelu_new", "relu", "relu2", "silu", "swish", "quick_gelu"};
  return *names;
}

at::Tensor activate(const std::string& name, const at::Tensor& x) {
  if (name == "gelu") return at::gelu(x);
  if (name == "gelu_tanh" || name == "gelu_pytorch_tanh" || name == "gelu_new") return at::gelu(x, "tanh");
  if (name == "relu") return at::relu(x);
  if (name == "relu2") return at::relu(x).square();
  if (name == "quick_gelu") return x * at::sigmoid(1.702 * x);
  if (name == "silu" || name == "swish") return at::silu(x);
  fail(ErrorKind::config, "unknown activation '" + name + "'", "use one of: " + join(activation_names(), ", "));
}

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up) { return SwigluFunction::apply(gate, up); }

}  // namespace antiphon::nn
