#include <antiphon/nn/activation.h>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <antiphon/base/error.h>
#include <antiphon/base/strings.h>
#include <antiphon/kernels/ops.h>

namespace antiphon::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct SwigluFunction : torch::autograd::Function<SwigluFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& gate, const at::Tensor& up) {
    context->save_for_backward({gate, up});
    return kernels::swiglu(gate, up);
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto saved = context->get_saved_variables();
    const auto [grad_gate, grad_up] = kernels::swiglu_backward(grads[0], saved[0], saved[1]);
    return {grad_gate, grad_up};
  }
};

// One forward for training and inference, so that both round alike.
struct QuickGeluFunction : torch::autograd::Function<QuickGeluFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x) {
    context->save_for_backward({x});
    return kernels::quick_gelu(x, false);
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto saved = context->get_saved_variables()[0];
    const auto x = saved.scalar_type() == at::kDouble ? saved : saved.to(at::kFloat);
    const auto gate = at::sigmoid(1.702 * x);
    return {(grads[0] * (gate + 1.702 * x * gate * (1 - gate))).to(saved.scalar_type())};
  }
};

}  // namespace

const std::vector<std::string>& activation_names() {
  static const auto* names = new std::vector<std::string>{
      "gelu", "gelu_tanh", "gelu_pytorch_tanh", "gelu_new", "relu", "relu2", "silu", "swish", "quick_gelu"};
  return *names;
}

bool is_spare(const at::Tensor& x) {
  return !at::GradMode::is_enabled() && x.use_count() == 1 && x.storage().use_count() == 1;
}

bool is_tanh_gelu(const std::string& name) {
  return name == "gelu_tanh" || name == "gelu_pytorch_tanh" || name == "gelu_new";
}

at::Tensor activate(const std::string& name, at::Tensor x) {
  const bool spare = is_spare(x);
  const auto gelu = [&](const char* kind) { return spare ? at::gelu_(x, kind) : at::gelu(x, kind); };
  if (name == "gelu") return gelu("none");
  if (is_tanh_gelu(name)) return gelu("tanh");
  if (name == "relu") return spare ? at::relu_(x) : at::relu(x);
  if (name == "relu2") return at::relu(x).square();
  if (name == "quick_gelu")
    return at::GradMode::is_enabled() ? QuickGeluFunction::apply(x) : kernels::quick_gelu(x, spare);
  if (name == "silu" || name == "swish") return spare ? at::silu_(x) : at::silu(x);
  fail(ErrorKind::config, "unknown activation '" + name + "'", "use one of: " + join(activation_names(), ", "));
}

at::Tensor swiglu(const at::Tensor& gate, const at::Tensor& up) { return SwigluFunction::apply(gate, up); }

}  // namespace antiphon::nn
