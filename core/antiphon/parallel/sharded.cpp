#include <antiphon/parallel/sharded.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/parallel/agreed.h>
#include <antiphon/parallel/offloaded_blocks.h>
#include <antiphon/parallel/put_together.h>
#include <antiphon/parallel/separate_gradients.h>

#include <algorithm>
#include <exception>
#include <set>

namespace antiphon::parallel {

namespace {

constexpr size_t kMostTogether = size_t{25}
                                 << 20;  // bytes of a unit that is not a block, unless one parameter has more

}  // namespace

namespace {

// Of a block: what is cut up of it, and how it is gathered.
std::vector<UnitMember> members_of(Module& block, const ShardedModel& model) {
  std::set<const at::Tensor*> of_linear;
  for (const auto& site : block.sites()) of_linear.insert({&site.linear->weight, &site.linear->bias});
  std::vector<UnitMember> members;
  for (const auto& parameter : parameters_that_move(block)) {
    const auto& tensor = *parameter.tensor;
    if (!tensor.requires_grad() && !model.frozen_too) continue;
    const bool cast = of_linear.contains(&tensor) && tensor.scalar_type() == at::kFloat;
    members.push_back({parameter, cast ? model.computed : tensor.scalar_type(),
                       tensor.requires_grad() ? model.trained_on_host : model.frozen_on_host});
  }
  return members;
}

}  // namespace

Sharded::Sharded(const ShardedModel& model, comm::Group* shards, comm::Group* replicas, const std::vector<Held>& held,
                 const BlockMember& member)
    : Placement(member), shards_(shards), replicas_(replicas) {
  window_.set_learns_from(model.learns_from);
  window_.before_pass = [this] {
    if (uneven_) another_pass_of(1);
  };
  window_.after_backward = [this](size_t block) {
    finish_sum();
    summing_ = blocks_[block].get();
    summing_->begin_sum();
  };
  add_blocks(model);
  add_others(model);
  for (auto* unit : units())
    for (size_t i = 0; i < unit->own().size(); ++i) {
      own_[unit->parameter(i)] = unit->own()[i];
      if (unit->on_host(i)) on_host_.insert(unit->own()[i].tensor);
    }
  for (const auto& [parameters, group, counts] : held) {
    held_.push_back({own(parameters), group, counts});
    if (!counts) leave_to_others(held_.back().parameters);
  }
}

void Sharded::add_blocks(const ShardedModel& model) {
  for (auto* block : model.blocks) {
    const auto members = members_of(*block, model);
    if (members.empty()) continue;
    for (const auto& member : members) in_blocks_.insert(member.parameter.tensor);
    blocks_.push_back(std::make_unique<Unit>(members, shards_, memory_));
    window_.add(*block, *blocks_.back());
  }
}

void Sharded::add_others(const ShardedModel& model) {
  std::vector<UnitMember> together;
  size_t bytes = 0;
  const auto add_unit = [&] {
    if (!together.empty())
      others_.push_back(std::make_unique<Unit>(std::exchange(together, {}), shards_, memory_of_others_));
    bytes = 0;
  };
  for (const auto& parameter : model.trained) {
    if (parameter.fixed || parameter.tensor->numel() == 0 || in_blocks_.contains(parameter.tensor)) continue;
    if (bytes + parameter.tensor->nbytes() > kMostTogether) add_unit();
    in_others_.push_back(parameter);
    together.push_back({parameter, parameter.tensor->scalar_type(), model.trained_on_host});
    bytes += parameter.tensor->nbytes();
  }
  add_unit();
}

std::vector<Unit*> Sharded::units() const {
  std::vector<Unit*> all;
  for (const auto& unit : blocks_) all.push_back(unit.get());
  for (const auto& unit : others_) all.push_back(unit.get());
  return all;
}

std::vector<Parameter> Sharded::own(const std::vector<Parameter>& parameters) const {
  auto all = parameters;
  for (auto& parameter : all) {
    const auto found = own_.find(parameter.tensor);
    if (found == own_.end()) continue;
    parameter.tensor = found->second.tensor, parameter.box = found->second.box;
  }
  return all;
}

void Sharded::make_whole(const std::vector<Parameter>& parameters) {
  for (const auto& parameter : parameters) {
    const auto found = own_.find(parameter.tensor);
    if (found == own_.end()) continue;
    if (!shards_) {
      *parameter.tensor = found->second.tensor->detach();
      continue;
    }
    // Of a parameter that is itself a part of one, the rows are put together to that part.
    auto rows = found->second;
    auto values = *rows.tensor;
    rows.tensor = &values, rows.box->whole = parameter.tensor->sizes().vec();
    for (size_t d = 0; parameter.box && d < rows.box->begin.size(); ++d) rows.box->begin[d] -= parameter.box->begin[d];
    put_together({rows}, *shards_);
    *parameter.tensor = values;
  }
}

void Sharded::make_usable() {
  for (const auto& unit : others_) unit->begin_fill();
  for (const auto& unit : others_) unit->wait_until_filled();
}

void Sharded::values_exchanged() {
  for (const auto& unit : others_) unit->release();
  for (auto* unit : units()) unit->values_change();
  make_usable();
}

// What a unit has copied to the host is added there once the next one's copies are under way.
void Sharded::finish_sum() {
  auto* unit = std::exchange(summing_, nullptr);
  if (unit) unit->finish_sum();
  auto* earlier = std::exchange(landing_, unit);
  if (earlier && earlier != unit) earlier->land();
}

void Sharded::end_blocks() {
  window_.end_pass();
  finish_sum();
  separate_gradients(in_others_);
}

void Sharded::sum_gradients() {
  window_.end_step();
  for (const auto& unit : others_) {
    unit->begin_sum();
    finish_sum();
    summing_ = unit.get();
    unit->release();
  }
  finish_sum(), finish_sum();
  memory_of_others_.clear();
  drop_unheld();
  for (const auto& held : held_)
    if (held.group) add_over(*held.group, held.parameters);
  for (auto* unit : units()) {
    if (replicas_) add_over(*replicas_, unit->own());
    unit->values_change();
  }
}

// A parameter that got no gradient in any process is left alone, as in one process.
void Sharded::drop_unheld() {
  std::vector<float> holders;
  std::unordered_map<at::Tensor*, int64_t> number;
  for (auto* unit : units()) {
    for (const auto& own : unit->own()) number.emplace(own.tensor, static_cast<int64_t>(number.size()));
    holders.insert(holders.end(), unit->holders().begin(), unit->holders().end());
    unit->forget_holders();
  }
  const auto sum = at::tensor(holders);
  if (shards_) shards_->sum(sum);
  if (replicas_) replicas_->sum(sum);
  for (const auto& held : held_) {
    std::vector<int64_t> numbers;
    for (const auto& own : held.parameters) numbers.push_back(number.at(own.tensor));
    if (!held.group || numbers.empty()) continue;
    const auto index = at::tensor(numbers, at::kLong), of_these = sum.index_select(0, index);
    held.group->sum(of_these);
    sum.index_copy_(0, index, of_these);
  }
  const auto* has = sum.const_data_ptr<float>();
  for (const auto& [own, i] : number) {
    auto& gradient = own->mutable_grad();
    if (has[i] == 0)
      gradient.reset();
    else if (!gradient.defined())  // others have it
      gradient = at::zeros(own->sizes(), own->options().requires_grad(false));
  }
}

void Sharded::add_over(comm::Group& group, const std::vector<Parameter>& own) {
  std::vector<at::Tensor> gradients;
  for (const auto& parameter : own)
    if (parameter.tensor->grad().defined()) gradients.push_back(parameter.tensor->mutable_grad().view(-1));
  if (gradients.empty()) return;
  const auto flat = at::cat(gradients);
  group.sum(flat);
  int64_t begin = 0;
  for (auto& gradient : gradients) {
    gradient.copy_(flat.narrow(0, begin, gradient.numel()));
    begin += gradient.numel();
  }
}

double Sharded::add_up(double own) { return parallel::sum(parallel::sum(own, shards_), block()); }

bool Sharded::another_pass_of(int64_t own) { return parallel::largest(own, shards_) > 0; }

// Before each of its passes a process says that there is one, and one that has done all its own takes part in the
// others' until nobody has any left.
void Sharded::run_uneven(const std::function<void()>& passes) {
  std::exception_ptr failure;
  uneven_ = true;
  window_.leave_pass();
  try {
    in_block(passes);
  } catch (const std::exception& error) {
    const auto* own = dynamic_cast<const Error*>(&error);
    if (own && (own->kind() == ErrorKind::distributed || own->kind() == ErrorKind::memory)) throw;
    if (shards_ && window_.in_pass()) leave_pass(error);
    failure = std::current_exception();
  }
  uneven_ = false;
  while (!blocks_.empty() && another_pass_of(0)) window_.pass_through();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace antiphon::parallel
