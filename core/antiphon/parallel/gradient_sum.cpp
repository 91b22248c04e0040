#include <antiphon/parallel/gradient_sum.h>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <antiphon/base/error.h>

#include <utility>

namespace antiphon::parallel {

// Called by LibTorch when the gradient of a parameter is computed.
class GradientSum::Hook : public torch::autograd::PostAccumulateGradHook {
 public:
  Hook(GradientSum& sum, size_t bucket, size_t member) : sum_(sum), bucket_(bucket), member_(member) {}
  void operator()(const torch::autograd::Variable& /*parameter*/) override { sum_.computed(bucket_, member_); }

 private:
  GradientSum& sum_;
  size_t bucket_, member_;
};

GradientSum::GradientSum(const std::vector<Parameter>& parameters, comm::Group& group, const Sizes& sizes)
    : group_(group), holders_(at::zeros({static_cast<int64_t>(parameters.size())}, at::kFloat)) {
  const auto alone = [&](const at::Tensor& x) { return x.nbytes() >= sizes.alone; };
  // Backwards: the gradients of the last layers are computed first.
  for (size_t i = parameters.size(); i-- > 0;) {
    const auto& x = *parameters[i].tensor;
    const auto fits = [&](const Bucket& bucket) {
      const auto& last = bucket.members.back().parameter;
      return !alone(x) && !alone(last) && last.scalar_type() == x.scalar_type() &&
             static_cast<size_t>(bucket.numel + x.numel()) * x.element_size() <= sizes.together;
    };
    if (buckets_.empty() || !fits(buckets_.back())) buckets_.emplace_back().first = parameters.size() - 1 - i;
    auto& bucket = buckets_.back();
    bucket.members.push_back({x, bucket.numel});
    bucket.numel += x.numel();
  }
  for (size_t b = 0; b < buckets_.size(); ++b)
    for (size_t m = 0; m < buckets_[b].members.size(); ++m)
      torch::autograd::impl::set_post_acc_grad_hooks(buckets_[b].members[m].parameter,
                                                     std::make_unique<Hook>(*this, b, m));
}

GradientSum::~GradientSum() {
  for (auto& bucket : buckets_)
    for (auto& member : bucket.members) torch::autograd::impl::set_post_acc_grad_hooks(member.parameter, nullptr);
}

void GradientSum::begin() { begun_ = true; }

void GradientSum::copy_into(Bucket& bucket, const Member& member) {
  const auto& gradient = member.parameter.grad();
  if (!bucket.flat.defined()) bucket.flat = at::empty({bucket.numel}, member.parameter.options());
  const auto place = bucket.flat.narrow(0, member.begin, member.parameter.numel());
  if (gradient.defined())
    place.view(member.parameter.sizes()).copy_(gradient);
  else
    place.zero_();
}

void GradientSum::take(Bucket& bucket, Member& member, int holders) {
  c10::AutoGradMode no_grad(false);
  auto& gradient = member.parameter.mutable_grad();
  // Its memory may be another gradient's, too (separate_gradients()).
  const bool own =
      gradient.defined() && gradient.is_contiguous() && gradient.storage().use_count() <= static_cast<size_t>(holders);
  if (bucket.members.size() == 1 && own)
    bucket.flat = gradient.view(-1);
  else
    copy_into(bucket, member), copied_ += gradient.defined();
  const auto number = bucket.first + static_cast<size_t>(&member - bucket.members.data());
  holders_.mutable_data_ptr<float>()[number] = gradient.defined() ? 1 : 0;
  gradient.reset();
  member.taken = true, ++bucket.taken;
}

void GradientSum::computed(size_t bucket, size_t member) {
  if (!begun_) return;
  auto& own = buckets_[bucket];
  if (own.members[member].taken)
    fail(ErrorKind::internal, fmt::format("a parameter of shape [{}] got a second gradient in one backward pass",
                                          fmt::join(own.members[member].parameter.sizes(), ", ")));
  constexpr int kInHook = 2;  // LibTorch's own while it calls
  take(own, own.members[member], kInHook);
  while (next_ < buckets_.size() && buckets_[next_].taken == buckets_[next_].members.size()) send(buckets_[next_++]);
}

void GradientSum::send(Bucket& bucket) { bucket.wait_for_it = group_.begin_sum(bucket.flat); }

void GradientSum::put_back(Bucket& bucket, const float* holders) {
  c10::AutoGradMode no_grad(false);
  std::exchange(bucket.wait_for_it, nullptr)();
  const auto flat = std::exchange(bucket.flat, at::Tensor());
  bucket.taken = 0;
  for (auto& [parameter, begin, taken] : bucket.members) {
    taken = false;
    if (*holders++ > 0) parameter.mutable_grad() = flat.narrow(0, begin, parameter.numel()).view(parameter.sizes());
  }
}

void GradientSum::finish() {
  for (; next_ < buckets_.size(); ++next_) {
    for (auto& member : buckets_[next_].members)
      if (!member.taken) take(buckets_[next_], member, 1);
    send(buckets_[next_]);
  }
  group_.sum(holders_);
  for (auto& bucket : buckets_) put_back(bucket, holders_.const_data_ptr<float>() + bucket.first);
  next_ = 0, begun_ = false;
}

}  // namespace antiphon::parallel
