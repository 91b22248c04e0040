#include <antiphon/parallel/block_window.h>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <antiphon/base/error.h>

#include <algorithm>
#include <utility>

namespace antiphon::parallel {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The identity on a block's result, whose backward is the first that runs of the block. `any` requires a gradient, so
// that it has one even if nothing in this process's batch was trained before it: other processes wait there.
struct BeforeBackward : torch::autograd::Function<BeforeBackward> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& y, const at::Tensor& /*any*/, int64_t window,
                            int64_t block) {
    context->saved_data["window"] = window, context->saved_data["block"] = block;
    return y.view_as(y);
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    auto* window = reinterpret_cast<BlockWindow*>(context->saved_data["window"].toInt());
    window->before_backward(static_cast<size_t>(context->saved_data["block"].toInt()));
    return {grads[0], at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

void BlockWindow::add(const Module& block, BlockMemory& memory) {
  number_[&block] = blocks_.size();
  blocks_.push_back({&memory});
}

nn::BlockPolicy* BlockWindow::around(nn::BlockPolicy* inner) {
  inner_ = inner;
  return this;
}

size_t BlockWindow::blocks_with_memory() const {
  return static_cast<size_t>(
      std::ranges::count_if(blocks_, [](const Block& block) { return block.memory->has_memory(); }));
}

void BlockWindow::use(size_t block, int direction) {
  blocks_[block].memory->wait_until_filled();
  const size_t next = block + static_cast<size_t>(direction);  // before the first: a large number
  if (next < blocks_.size() && (direction > 0 || blocks_[next].waiting > 0)) blocks_[next].memory->begin_fill();
}

at::Tensor BlockWindow::run(const nn::StackBlock& block, const at::Tensor& x) {
  const auto compute = [&] { return inner_ ? inner_->run(block, x) : block.forward(x); };
  const auto found = number_.find(&block.module);
  if (found == number_.end()) return compute();
  const size_t i = found->second;
  if (i == 0 && before_pass) before_pass();
  in_pass_ = true;
  use(i, 1);
  auto y = compute();
  const bool learns = at::GradMode::is_enabled() && block.index >= learns_from_;
  if (learns) {
    ++blocks_[i].waiting;
    const auto any = at::empty({0}, y.options()).set_requires_grad(true);
    y = BeforeBackward::apply(y, any, reinterpret_cast<int64_t>(this), static_cast<int64_t>(i));
  }
  // The last one is the first that the backward pass needs.
  if (!learns || i + 1 < blocks_.size()) blocks_[i].memory->release();
  if (i + 1 == blocks_.size()) in_pass_ = false;
  return y;
}

// When the backward pass of a block begins, that of the block above it has ended: autograd runs what was recorded last
// first.
void BlockWindow::before_backward(size_t block) {
  if (in_backward_) end_backward(*in_backward_);
  in_backward_ = block;
  use(block, -1);
}

void BlockWindow::end_backward(size_t block) {
  blocks_[block].memory->release();
  --blocks_[block].waiting;
  if (after_backward) after_backward(block);
}

void BlockWindow::end_pass() {
  if (in_backward_) end_backward(*std::exchange(in_backward_, std::nullopt));
}

void BlockWindow::end_step() {
  if (std::ranges::any_of(blocks_, [](const Block& block) { return block.waiting > 0; }))
    fail(ErrorKind::internal, "a loss that does not depend on the language model leaves its blocks waiting");
}

void BlockWindow::pass_through() {
  for (size_t i = 0; i < blocks_.size(); ++i) use(i, 1), blocks_[i].memory->release();
}

}  // namespace antiphon::parallel
