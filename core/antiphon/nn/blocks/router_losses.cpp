#include <antiphon/nn/blocks/router_losses.h>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

namespace antiphon::nn {
namespace {

using torch::autograd::AutogradContext, torch::autograd::variable_list;

struct Held : torch::CustomClassHolder {
  std::shared_ptr<const LoadBalance> balance;
};

// y as it is. The backward pass comes after the forward passes of all layers, so the sums over them are known then.
struct AttachBalance : torch::autograd::Function<AttachBalance> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& y, const at::Tensor& probabilities,
                            const c10::intrusive_ptr<Held>& held) {
    context->saved_data["held"] = c10::IValue::make_capsule(held);
    context->saved_data["tokens"] = probabilities.size(0);
    return y.view_as(y);
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto held = c10::static_intrusive_pointer_cast<Held>(context->saved_data["held"].toCapsule());
    const auto tokens = context->saved_data["tokens"].toInt();
    return {grads[0], held->balance->gradient().unsqueeze(0).expand({tokens, -1}), at::Tensor()};
  }
};

// y as it is; the loss gets the gradient 1.
struct AttachLoss : torch::autograd::Function<AttachLoss> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& y, const at::Tensor& loss) {
    context->saved_data["like"] = at::ones_like(loss);
    return y.view_as(y);
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    return {grads[0], context->saved_data["like"].toTensor()};
  }
};

}  // namespace

LoadBalance::LoadBalance(int64_t experts, double scale) : experts_(experts), scale_(scale) {}

at::Tensor LoadBalance::attached(const at::Tensor& y, const at::Tensor& probabilities, const at::Tensor& counts,
                                 bool count) {
  if (count) {
    const auto sum = probabilities.detach().sum(0);
    const auto tokens = at::full({1}, static_cast<double>(probabilities.size(0)), sum.options());
    const auto more = at::cat({counts.to(at::kFloat), sum, tokens});
    sums_ = sums_.defined() ? sums_ + more : more;
  }
  auto held = c10::make_intrusive<Held>();
  held->balance = shared_from_this();
  return AttachBalance::apply(y, probabilities, held);
}

void LoadBalance::add_up(comm::Group& group) {
  if (sums_.defined()) group.sum(sums_);
}

double LoadBalance::value() const {
  if (!sums_.defined() || sums_.is_meta()) return 0;
  const auto parts = sums_.split_with_sizes({experts_, experts_, 1});
  return static_cast<double>(experts_) * ((parts[0] * parts[1]).sum() / parts[2].clamp_min(1).square()).item<double>();
}

at::Tensor LoadBalance::gradient() const {
  const auto parts = sums_.split_with_sizes({experts_, experts_, 1});
  return parts[0] * (scale_ * static_cast<double>(experts_)) / parts[2].clamp_min(1).square();
}

at::Tensor LoadBalance::counted(const at::TensorOptions& options) const {
  return sums_.defined() ? sums_ : at::zeros({2 * experts_ + 1}, options.dtype(at::kFloat));
}

void LoadBalance::set_counted(const at::Tensor& sums) { sums_ = sums; }

RouterLosses::RouterLosses(const RouterLossOptions& options, double share, int64_t tokens)
    : options_(options), share_(share), tokens_(static_cast<double>(std::max(tokens, int64_t{1}))) {
  if (options.balance > 0) balance_ = std::make_shared<LoadBalance>(options.experts, options.balance * share);
}

at::Tensor RouterLosses::attached(at::Tensor y, const at::Tensor& logits, const at::Tensor& probabilities,
                                  const at::Tensor& counts, bool again) {
  if (balance_) y = balance_->attached(y, probabilities, counts.to(y.device()), !again);
  if (options_.router_z == 0) return y;
  const auto loss = at::logsumexp(logits, -1).square().sum() / tokens_;
  if (!again) add(0, loss.detach());
  return AttachLoss::apply(y, loss * (options_.router_z * share_));
}

void RouterLosses::add(int64_t place, const at::Tensor& value) {
  if (!others_.defined()) others_ = at::zeros({3}, value.options().dtype(at::kFloat));
  others_.narrow(0, place, 1).add_(value);
}

void RouterLosses::dropped(const at::Tensor& count, int64_t of) {
  add(1, count);
  others_.narrow(0, 2, 1).add_(static_cast<double>(of));
}

void RouterLosses::finish(comm::Group* slices) {
  if (!slices) return;
  if (balance_) balance_->add_up(*slices);
  if (others_.defined()) slices->sum(others_);
}

// All processes tell the same, whatever they have computed.
void RouterLosses::tell(AuxiliaryLosses& losses) const {
  if (balance_) losses.add("load_balance", options_.balance, balance_->value());
  float value[3] = {0, 0, 0};
  if (others_.defined() && !others_.is_meta()) {
    const auto values = others_.cpu();
    std::copy_n(values.const_data_ptr<float>(), 3, value);
  }
  if (options_.router_z > 0) losses.add("router_z", options_.router_z, value[0]);
  if (options_.drops) losses.add("dropped", 0, value[2] > 0 ? value[1] / value[2] : 0);
}

at::Tensor RouterLosses::counted(const at::TensorOptions& options) const {
  const auto others = others_.defined() ? others_ : at::zeros({3}, options.dtype(at::kFloat));
  return balance_ ? at::cat({others, balance_->counted(options)}) : others;
}

void RouterLosses::set_counted(const at::Tensor& sums) {
  others_ = sums.narrow(0, 0, 3).clone();
  if (balance_) balance_->set_counted(sums.narrow(0, 3, sums.size(0) - 3).clone());
}

}  // namespace antiphon::nn
