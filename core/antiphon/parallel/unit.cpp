#include <antiphon/parallel/unit.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>

#include <algorithm>
#include <utility>

namespace antiphon::parallel {
Unit::Unit(const std::vector<UnitMember>& members, comm::Group& group, UnitMemory& memory)
    : group_(group), memory_(memory), holders_(members.size(), 0) {
  c10::AutoGradMode no_grad(false);
  for (const auto& [parameter, dtype] : members) {
    auto& tensor = *parameter.tensor;
    if (tensor.dim() == 0)
      fail(ErrorKind::plugin, fmt::format("the parameter {} has no rows to cut up", parameter.name),
           "use parallel.fsdp = 1");
    const bool trained = tensor.requires_grad();
    const int64_t begin = row_of(tensor, group.rank());
    own_tensors_.push_back(rows_of(tensor.detach(), group.rank()).clone(at::MemoryFormat::Contiguous));
    own_tensors_.back().set_requires_grad(trained);
    auto own = parameter;
    own.tensor = &own_tensors_.back();
    own.box = parameter.box ? *parameter.box
                            : Box{tensor.sizes().vec(), std::vector<int64_t>(static_cast<size_t>(tensor.dim()), 0)};
    own.box->begin[0] += begin;
    own_.push_back(std::move(own));
    tensor = at::empty(tensor.sizes(), tensor.options().dtype(dtype).requires_grad(false)).set_requires_grad(trained);
    take_memory(tensor);
    members_.push_back({tensor, bytes_});
    parameters_.push_back(&tensor);
    bytes_ += aligned_bytes(tensor);
  }
}

Unit::~Unit() {
  try {
    if (gathering_) gathering_();
    if (summing_) summing_();
  } catch (const std::exception&) {  // the others are gone; what has to be said about that has been
  }
  for (const auto& member : members_) take_memory(member.whole);
}

int64_t Unit::row_of(const at::Tensor& whole, int rank) const { return whole.size(0) * rank / group_.size(); }

at::Tensor Unit::rows_of(const at::Tensor& whole, int rank) const {
  const int64_t begin = row_of(whole, rank);
  return whole.narrow(0, begin, row_of(whole, rank + 1) - begin);
}

void Unit::begin_fill() {
  if (has_memory() || members_.empty()) return;
  c10::AutoGradMode no_grad(false);
  memory_of_whole_ = memory_.take(bytes_, members_[0].whole.device());
  comm::Pieces own;
  std::vector<comm::Pieces> places(static_cast<size_t>(group_.size()));
  for (size_t i = 0; i < members_.size(); ++i) {
    const auto& [whole, place] = members_[i];
    own.push_back(this->own(i).detach().to(whole.scalar_type()));
    const auto values = values_at(memory_of_whole_, place, whole);
    for (size_t rank = 0; rank < places.size(); ++rank) places[rank].push_back(rows_of(values, static_cast<int>(rank)));
  }
  gathering_ = group_.begin_gather(own, places);
}

void Unit::wait_until_filled() {
  begin_fill();
  if (!gathering_) return;
  std::exchange(gathering_, nullptr)();
  for (const auto& [whole, place] : members_) point(whole, memory_of_whole_, place);
}

void Unit::release() {
  if (!has_memory()) return;
  wait_until_filled();
  for (const auto& member : members_) take_memory(member.whole);
  memory_.give_back(std::exchange(memory_of_whole_, at::Tensor()));
}

void Unit::begin_sum() {
  c10::AutoGradMode no_grad(false);
  comm::Pieces own;
  std::vector<comm::Pieces> parts(static_cast<size_t>(group_.size()));
  for (size_t i = 0; i < members_.size(); ++i) {
    const auto& whole = members_[i].whole;
    if (!whole.requires_grad()) continue;
    auto gradient = std::exchange(whole.mutable_grad(), at::Tensor());
    holders_[i] += gradient.defined() ? 1 : 0;
    const auto options = whole.options().requires_grad(false);
    gradient = gradient.defined() ? gradient.contiguous() : at::zeros(whole.sizes(), options);
    for (size_t rank = 0; rank < parts.size(); ++rank) parts[rank].push_back(rows_of(gradient, static_cast<int>(rank)));
    own.push_back(at::empty(this->own(i).sizes(), this->own(i).options().requires_grad(false)));
    sums_.emplace_back(i, own.back());
  }
  if (!own.empty()) summing_ = group_.begin_scatter_sum(parts, own);
}

void Unit::finish_sum() {
  if (!summing_) return;
  c10::AutoGradMode no_grad(false);
  std::exchange(summing_, nullptr)();
  for (auto& [i, sum] : std::exchange(sums_, {})) {
    auto& gradient = own(i).mutable_grad();
    if (gradient.defined())
      gradient.add_(sum);
    else
      gradient = sum;
  }
}

void Unit::values_change() {
  for (const auto& member : members_)
    if (member.whole.requires_grad()) member.whole.unsafeGetTensorImpl()->bump_version();
}

}  // namespace antiphon::parallel
