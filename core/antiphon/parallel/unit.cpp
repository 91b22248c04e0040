#include <antiphon/parallel/unit.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>

#include <algorithm>
#include <utility>

namespace antiphon::parallel {
Unit::Unit(const std::vector<UnitMember>& members, comm::Group* group, UnitMemory& memory)
    : group_(group), memory_(memory), holders_(members.size(), 0) {
  c10::AutoGradMode no_grad(false);
  for (const auto& [parameter, dtype, on_host] : members) {
    auto& tensor = *parameter.tensor;
    if (group && tensor.dim() == 0)
      fail(ErrorKind::plugin, fmt::format("the parameter {} has no rows to cut up", parameter.name),
           "use parallel.fsdp = 1");
    const bool trained = tensor.requires_grad();
    own_tensors_.push_back(kept_of(tensor.detach(), on_host));
    own_tensors_.back().set_requires_grad(trained);
    auto own = parameter;
    own.tensor = &own_tensors_.back();
    if (group) {
      if (!own.box) own.box = Box{tensor.sizes().vec(), std::vector<int64_t>(static_cast<size_t>(tensor.dim()), 0)};
      own.box->begin[0] += row_of(tensor, group->rank());
    }
    own_.push_back(std::move(own));
    tensor = at::empty(tensor.sizes(), tensor.options().dtype(dtype).requires_grad(false)).set_requires_grad(trained);
    take_memory(tensor);
    members_.push_back({tensor, bytes_, on_host});
    parameters_.push_back(&tensor);
    bytes_ += aligned_bytes(tensor);
  }
}

Unit::~Unit() {
  try {
    if (gathering_) gathering_();
    if (summing_) summing_();
    copies_.wait();
  } catch (const std::exception&) {  // the others are gone; what has to be said about that has been
  }
  for (const auto& member : members_) take_memory(member.whole);
}

int64_t Unit::row_of(const at::Tensor& whole, int rank) const { return whole.size(0) * rank / group_->size(); }

at::Tensor Unit::rows_of(const at::Tensor& whole, int rank) const {
  const int64_t begin = row_of(whole, rank);
  return whole.narrow(0, begin, row_of(whole, rank + 1) - begin);
}

at::Tensor Unit::kept_of(const at::Tensor& whole, bool on_host) const {
  const auto rows = group_ ? rows_of(whole, group_->rank()).clone(at::MemoryFormat::Contiguous) : whole;
  return on_host ? in_host_memory(rows) : rows;
}

// The own rows in the format and on the device that they are gathered in.
at::Tensor Unit::to_gather(size_t member) {
  const auto rows = own(member).detach();
  const auto& whole = members_[member].whole;
  if (!members_[member].on_host) return rows.to(whole.scalar_type());
  const auto there = at::empty(rows.sizes(), whole.options().requires_grad(false));
  copies_.begin(there, rows);
  return there;
}

void Unit::begin_fill() {
  if (has_memory() || members_.empty()) return;
  c10::AutoGradMode no_grad(false);
  memory_of_whole_ = memory_.take(bytes_, members_[0].whole.device());
  filling_ = true;
  comm::Pieces own;
  std::vector<comm::Pieces> places(group_ ? static_cast<size_t>(group_->size()) : 0);
  for (size_t i = 0; i < members_.size(); ++i) {
    const auto values = values_at(memory_of_whole_, members_[i].place, members_[i].whole);
    if (!group_) {
      copies_.begin(values, this->own(i).detach());
      continue;
    }
    own.push_back(to_gather(i));
    for (size_t rank = 0; rank < places.size(); ++rank) places[rank].push_back(rows_of(values, static_cast<int>(rank)));
  }
  if (!group_) return;
  copies_.wait_on_device();
  gathering_ = group_->begin_gather(own, places);
}

void Unit::wait_until_filled() {
  begin_fill();
  if (!std::exchange(filling_, false)) return;
  if (gathering_) std::exchange(gathering_, nullptr)();
  copies_.wait_on_device();
  for (const auto& member : members_) point(member.whole, memory_of_whole_, member.place);
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
  std::vector<comm::Pieces> parts(group_ ? static_cast<size_t>(group_->size()) : 0);
  for (size_t i = 0; i < members_.size(); ++i) {
    const auto& whole = members_[i].whole;
    if (!whole.requires_grad()) continue;
    auto gradient = std::exchange(whole.mutable_grad(), at::Tensor());
    holders_[i] += gradient.defined() ? 1 : 0;
    if (!group_) {
      // Its memory may be another gradient's, too (separate_gradients()).
      if (gradient.defined())
        sums_.emplace_back(i, gradient.storage().use_count() > 1 ? gradient.clone() : gradient.contiguous());
      continue;
    }
    const auto options = whole.options().requires_grad(false);
    gradient = gradient.defined() ? gradient.contiguous() : at::zeros(whole.sizes(), options);
    for (size_t rank = 0; rank < parts.size(); ++rank) parts[rank].push_back(rows_of(gradient, static_cast<int>(rank)));
    own.push_back(at::empty(this->own(i).sizes(), options.dtype(this->own(i).scalar_type())));
    sums_.emplace_back(i, own.back());
  }
  if (!own.empty()) summing_ = group_->begin_scatter_sum(parts, own);
}

void Unit::add(size_t member, const at::Tensor& sum) {
  auto& gradient = own(member).mutable_grad();
  const auto& rows = own(member);
  if (gradient.defined())
    gradient.add_(sum);
  else if (members_[member].on_host && sum.scalar_type() != rows.scalar_type())
    gradient = empty_in_host_memory(rows).copy_(sum);
  else
    gradient = sum.to(rows.scalar_type());
}

void Unit::finish_sum() {
  land();
  c10::AutoGradMode no_grad(false);
  if (summing_) std::exchange(summing_, nullptr)();
  for (auto& [i, sum] : std::exchange(sums_, {})) {
    if (!members_[i].on_host || sum.is_cpu()) {
      add(i, sum);
      continue;
    }
    landing_.emplace_back(i, empty_in_host_memory(sum));
    copies_.begin(landing_.back().second, sum);
  }
}

void Unit::land() {
  if (landing_.empty()) return;
  c10::AutoGradMode no_grad(false);
  copies_.wait();
  for (auto& [i, sum] : std::exchange(landing_, {})) add(i, sum);
}

void Unit::values_change() {
  for (const auto& member : members_)
    if (member.whole.requires_grad()) member.whole.unsafeGetTensorImpl()->bump_version();
}

}  // namespace antiphon::parallel
