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

struct HeldSums : torch::CustomClassHolder {
  std::shared_ptr<StageSums> sums;
};

c10::intrusive_ptr<HeldSums> held(const std::shared_ptr<StageSums>& sums) {
  auto holder = c10::make_intrusive<HeldSums>();
  holder->sums = sums;
  return holder;
}

void keep(AutogradContext* context, const c10::intrusive_ptr<HeldSums>& sums) {
  context->saved_data["sums"] = c10::IValue::make_capsule(sums);
}

StageSums* sums_in(AutogradContext* context) {
  return c10::static_intrusive_pointer_cast<HeldSums>(context->saved_data["sums"].toCapsule())->sums.get();
}

// Of a batch and the range that takes it: as many numbers as there are messages of a step.
int tag_of(int batch, int range, size_t ranges) { return batch * static_cast<int>(ranges) + range; }

at::Tensor wanting(bool gradient, const at::TensorOptions& options) {
  auto any = at::empty({0}, options.requires_grad(false));
  if (gradient && at::GradMode::is_enabled()) any.set_requires_grad(true);
  return any;
}

}  // namespace

// `any` wants a gradient, although what is received is not a result of anything here.
struct Received : torch::autograd::Function<Received> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& any, at::IntArrayRef sizes, int64_t stage,
                            int64_t tag, const c10::intrusive_ptr<HeldSums>& sums) {
    context->saved_data["stage"] = stage, context->saved_data["tag"] = tag;
    keep(context, sums);
    const auto into = at::empty(sizes, any.options().requires_grad(false));
    return stage_in(context).receive(into, sums->sums.get(), 1, static_cast<int>(tag));
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto tag = static_cast<int>(context->saved_data["tag"].toInt());
    stage_in(context).send(grads[0].contiguous(), sums_in(context), -1, tag);
    return {at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

// `any` wants a gradient if the next stage sends one, whether x does or not: of a batch without media, nothing before
// the blocks may be trained.
struct Sent : torch::autograd::Function<Sent> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& /*any*/, int64_t stage,
                            int64_t tag, const c10::intrusive_ptr<HeldSums>& sums) {
    context->saved_data["stage"] = stage, context->saved_data["tag"] = tag;
    keep(context, sums);
    context->saved_data["like"] = at::empty({0}, x.options().requires_grad(false));
    context->saved_data["sizes"] = x.sizes().vec();
    stage_in(context).send(x.detach().contiguous(), sums->sums.get(), 1, static_cast<int>(tag));
    return at::zeros({}, x.options().requires_grad(false).dtype(at::kFloat));
  }
  static variable_list backward(AutogradContext* context, variable_list) {
    const auto into =
        at::empty(context->saved_data["sizes"].toIntVector(), context->saved_data["like"].toTensor().options());
    const auto tag = static_cast<int>(context->saved_data["tag"].toInt());
    return {stage_in(context).receive(into, sums_in(context), -1, tag), at::Tensor(), at::Tensor(), at::Tensor(),
            at::Tensor()};
  }
};

int PipelineStage::number() const { return PipelinePass::chunk() * group_.size() + group_.rank(); }

bool PipelineStage::has(int64_t block) const {
  for (size_t r = 0; r < ranges_.size(); ++r)
    if (has_range(r) && block >= ranges_[r].begin && block < ranges_[r].end) return true;
  return false;
}

void PipelineStage::send(const at::Tensor& x, const StageSums* sums, int direction, int tag) {
  const int lane = direction > 0 ? 0 : 1;
  auto& under_way = under_way_[lane];
  if (under_way) std::exchange(under_way, nullptr)();
  const int to = (group_.rank() + direction + group_.size()) % group_.size();
  under_way = group_.begin_send(x, to, lane, 2 * tag + lane);
  if (!sums) return;
  under_way = [first = std::move(under_way),
               second = group_.begin_send(sums->counted(x.options()), to, lane, 2 * tag + lane)] { first(), second(); };
}

at::Tensor PipelineStage::receive(const at::Tensor& into, StageSums* sums, int direction, int tag) {
  const int from = (group_.rank() - direction + group_.size()) % group_.size();
  const int lane = direction > 0 ? 0 : 1;
  group_.receive(into, from, lane, 2 * tag + lane);
  if (!sums) return into;
  const auto numbers = at::empty_like(sums->counted(into.options()));
  group_.receive(numbers, from, lane, 2 * tag + lane);
  sums->set_counted(numbers);
  return into;
}

at::Tensor PipelineStage::received(at::IntArrayRef sizes, const at::TensorOptions& options,
                                   const std::shared_ptr<StageSums>& sums) {
  return Received::apply(wanting(range().learns_before, options), sizes, reinterpret_cast<int64_t>(this),
                         tag_of(PipelinePass::batch(), number(), ranges_.size()), held(sums));
}

at::Tensor PipelineStage::sent(const at::Tensor& x, const std::shared_ptr<StageSums>& sums) {
  const auto next = static_cast<size_t>(number()) + 1;
  return Sent::apply(x, wanting(ranges_[next].learns_before, x.options()), reinterpret_cast<int64_t>(this),
                     tag_of(PipelinePass::batch(), static_cast<int>(next), ranges_.size()), held(sums));
}

}  // namespace antiphon::nn
