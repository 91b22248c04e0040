#include <antiphon/nn/blocks/recompute.h>

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/core/Generator.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/custom_class.h>

#include <antiphon/component/peft.h>
#include <antiphon/component/training_pass.h>
#include <antiphon/nn/deferred_gradients.h>
#include <antiphon/nn/linear/linear.h>

#include <algorithm>
#include <optional>

namespace antiphon::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The random numbers that a block draws, on the CPU and on its device.
class RandomNumbers {
 public:
  explicit RandomNumbers(at::Device device) {
    for (const auto of : {at::Device(at::kCPU), device}) {
      if (of.is_meta() || (!generators_.empty() && of.is_cpu())) continue;
      generators_.push_back(at::globalContext().defaultGenerator(of));
    }
    states_ = now();
  }
  void restore() { set(states_); }

  // While it lives, they are drawn again; then what was to come next comes next.
  class Again {
   public:
    explicit Again(RandomNumbers& numbers) : numbers_(numbers), next_(numbers.now()) { numbers.restore(); }
    ~Again() { numbers_.set(next_); }
    Again(const Again&) = delete;

   private:
    RandomNumbers& numbers_;
    std::vector<at::Tensor> next_;
  };

 private:
  std::vector<at::Tensor> now() const {
    std::vector<at::Tensor> states;
    for (const auto& generator : generators_) states.push_back(generator.get_state());
    return states;
  }
  void set(const std::vector<at::Tensor>& states) {
    for (size_t i = 0; i < generators_.size(); ++i) generators_[i].set_state(states[i]);
  }
  std::vector<at::Generator> generators_;
  std::vector<at::Tensor> states_;
};

// A tensor that waits in the host's memory: there and back on the current stream, so that nobody has to wait for it. A
// CPU's is copied within its memory, of one without values nothing is kept.
at::Tensor on_host(const at::Tensor& x) {
  if (x.is_meta()) return at::empty({0}, x.options());
  if (x.is_cpu()) return x.clone();
  const auto host = at::empty(x.sizes(), x.options().device(at::kCPU).pinned_memory(true));
  return host.copy_(x, /*non_blocking=*/true);
}

at::Tensor on_device(const at::Tensor& host, const std::vector<int64_t>& sizes, at::Device device) {
  return host.is_meta() ? at::empty(sizes, host.options()) : host.to(device, /*non_blocking=*/true);
}

// What the second time needs to be the first one again.
struct Kept : torch::CustomClassHolder {
  std::function<at::Tensor(const at::Tensor&)> forward;
  bool training = TrainingPass::now();
  uint64_t key = TrainingPass::key(), adapters = AdapterScope::now();
  std::shared_ptr<const TokenKinds> kinds = TokenKindScope::now();
  DeferredGradients* later = DeferredGradients::now();
  std::optional<RandomNumbers> numbers;  // only a training pass draws any
  bool input_on_host = false;
  std::vector<int64_t> sizes;  // of the input
};

struct RecomputeFunction : torch::autograd::Function<RecomputeFunction> {
  // `any`: requires a gradient, so that the result does, if x does not but the block's parameters do.
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& any,
                            const c10::intrusive_ptr<Kept>& kept) {
    context->save_for_backward({kept->input_on_host ? on_host(x) : x});
    context->saved_data["kept"] = c10::IValue::make_capsule(kept);
    // With gradients, although nothing of them is kept: the same kernels run both times.
    c10::AutoGradMode gradients(true);
    return kept->forward(x.detach().set_requires_grad(x.requires_grad())).detach();
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    auto kept = c10::static_intrusive_pointer_cast<Kept>(context->saved_data["kept"].toCapsule());
    const auto saved = context->get_saved_variables()[0];
    const auto input = kept->input_on_host ? on_device(saved, kept->sizes, grads[0].device()) : saved;
    const auto x = input.detach().set_requires_grad(context->needs_input_grad(0));
    c10::AutoGradMode gradients(true);
    const TrainingPass training(kept->training, /*again=*/true, kept->key);
    const AdapterScope adapters(kept->adapters);
    const TokenKindScope kinds(kept->kinds);
    const DeferredGradients::Scope defers(kept->later);
    at::Tensor y;
    {
      std::optional<RandomNumbers::Again> again;
      if (kept->numbers) again.emplace(*kept->numbers);
      y = kept->forward(x);
    }
    if (y.requires_grad()) torch::autograd::backward({y}, {grads[0]});
    return {x.grad(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor Recompute::run(const StackBlock& block, const at::Tensor& x) {
  const bool chosen = static_cast<int64_t>(block.index) < blocks_ && at::GradMode::is_enabled();
  if (!chosen || !(x.requires_grad() || learns(block.module))) return block.forward(x);
  auto kept = c10::make_intrusive<Kept>();
  kept->forward = block.forward;
  kept->input_on_host = on_host_, kept->sizes = x.sizes().vec();
  if (kept->training) kept->numbers.emplace(x.device());
  const auto any = at::empty({0}, x.options()).set_requires_grad(true);
  return RecomputeFunction::apply(x, any, kept);
}

}  // namespace antiphon::nn
