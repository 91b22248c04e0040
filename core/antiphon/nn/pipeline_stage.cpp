#include <antiphon/nn/pipeline_stage.h>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <antiphon/component/pipeline_pass.h>

#include <utility>

namespace antiphon::nn {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

PipelineStage& stage_in(AutogradContext* context) {
  return *reinterpret_cast<PipelineStage*>(context->saved_data["stage"].toInt());
}

// Of a batch and the range that takes it: as many numbers as there are messages of a step.
int tag_of(int batch, int range, size_t ranges) { return batch * static_cast<int>(ranges) + range; }

at::Tensor wanting(bool gradient, const at::TensorOptions& options) {
  auto any = at::empty({0}, options.requires_grad(false));
  if (gradient && at::GradMode::is_enabled()) any.set_requires_grad(true);
  return any;
}

}  // namespace

// `any` wants a gradient, although what is received is no result of anything here.
struct Received : torch::autograd::Function<Received> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& any, at::IntArrayRef sizes, int64_t stage,
                            int64_t tag) {
    context->saved_data["stage"] = stage, context->saved_data["tag"] = tag;
    return stage_in(context).receive(at::empty(sizes, any.options().requires_grad(false)), 1, static_cast<int>(tag));
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    stage_in(context).send(grads[0].contiguous(), -1, static_cast<int>(context->saved_data["tag"].toInt()));
    return {at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

// `any` wants a gradient if the next stage sends one, whether x does or not: of a batch without media, nothing before
// the blocks may be trained.
struct Sent : torch::autograd::Function<Sent> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& /*any*/, int64_t stage,
                            int64_t tag) {
    context->saved_data["stage"] = stage, context->saved_data["tag"] = tag;
    context->saved_data["like"] = at::empty({0}, x.options().requires_grad(false));
    context->saved_data["sizes"] = x.sizes().vec();
    stage_in(context).send(x.detach().contiguous(), 1, static_cast<int>(tag));
    return at::zeros({}, x.options().requires_grad(false).dtype(at::kFloat));
  }
  static variable_list backward(AutogradContext* context, variable_list) {
    const auto into =
        at::empty(context->saved_data["sizes"].toIntVector(), context->saved_data["like"].toTensor().options());
    return {stage_in(context).receive(into, -1, static_cast<int>(context->saved_data["tag"].toInt())), at::Tensor(),
            at::Tensor(), at::Tensor()};
  }
};

int PipelineStage::number() const { return PipelinePass::chunk() * group_.size() + group_.rank(); }

bool PipelineStage::has(int64_t block) const {
  for (size_t r = 0; r < ranges_.size(); ++r)
    if (has_range(r) && block >= ranges_[r].begin && block < ranges_[r].end) return true;
  return false;
}

void PipelineStage::send(const at::Tensor& x, int direction, int tag) {
  const int lane = direction > 0 ? 0 : 1;
  auto& under_way = under_way_[lane];
  if (under_way) std::exchange(under_way, nullptr)();
  const int to = (group_.rank() + direction + group_.size()) % group_.size();
  under_way = group_.begin_send(x, to, lane, 2 * tag + lane);
}

at::Tensor PipelineStage::receive(const at::Tensor& into, int direction, int tag) {
  const int from = (group_.rank() - direction + group_.size()) % group_.size();
  const int lane = direction > 0 ? 0 : 1;
  group_.receive(into, from, lane, 2 * tag + lane);
  return into;
}

at::Tensor PipelineStage::received(at::IntArrayRef sizes, const at::TensorOptions& options) {
  return Received::apply(wanting(range().learns_before, options), sizes, reinterpret_cast<int64_t>(this),
                         tag_of(PipelinePass::batch(), number(), ranges_.size()));
}

at::Tensor PipelineStage::sent(const at::Tensor& x) {
  const auto next = static_cast<size_t>(number()) + 1;
  return Sent::apply(x, wanting(ranges_[next].learns_before, x.options()), reinterpret_cast<int64_t>(this),
                     tag_of(PipelinePass::batch(), static_cast<int>(next), ranges_.size()));
}

}  // namespace antiphon::nn
