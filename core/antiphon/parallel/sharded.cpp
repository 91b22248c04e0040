#include <antiphon/parallel/sharded.h>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/custom_function.h>

#include <antiphon/base/error.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/parallel/agreed.h>
#include <antiphon/parallel/separate_gradients.h>

#include <algorithm>
#include <exception>
#include <set>

namespace antiphon::parallel {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

constexpr size_t kMostTogether = size_t{25} << 20;  // bytes of a unit that is no block, unless one parameter has more

}  // namespace

// The identity on a block's result, whose backward is the first that runs of the block. `any` requires a gradient, so
// that it has one even if nothing in this process's batch was trained before it: other processes wait there.
struct BeforeBackward : torch::autograd::Function<BeforeBackward> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& y, const at::Tensor& /*any*/, int64_t engine,
                            int64_t block) {
    context->saved_data["engine"] = engine, context->saved_data["block"] = block;
    return y.view_as(y);
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    auto* engine = reinterpret_cast<Sharded*>(context->saved_data["engine"].toInt());
    engine->before_backward(static_cast<size_t>(context->saved_data["block"].toInt()));
    return {grads[0], at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

namespace {

// Of a block: what is cut up of it, and how it is gathered.
std::vector<UnitMember> members_of(Module& block, const ShardedModel& model) {
  std::set<const at::Tensor*> of_linear;
  for (const auto& site : block.sites()) of_linear.insert({&site.linear->weight, &site.linear->bias});
  std::vector<UnitMember> members;
  for (auto& parameter : block.parameters()) {
    const auto& tensor = *parameter.tensor;
    if (parameter.fixed || tensor.is_meta() || !(tensor.requires_grad() || model.frozen_too)) continue;
    const bool cast = of_linear.contains(&tensor) && tensor.scalar_type() == at::kFloat;
    members.push_back({parameter, cast ? model.computed : tensor.scalar_type()});
  }
  return members;
}

}  // namespace

Sharded::Sharded(const ShardedModel& model, comm::Group& shards, comm::Group* replicas, comm::Group* cell)
    : shards_(shards), replicas_(replicas), cell_(cell), learns_from_(model.learns_from) {
  std::set<const at::Tensor*> in_blocks;
  for (auto* block : model.blocks) {
    const auto members = members_of(*block, model);
    if (members.empty()) continue;
    number_[block] = blocks_.size();
    for (const auto& member : members) in_blocks.insert(member.parameter.tensor);
    blocks_.push_back({std::make_unique<Unit>(members, shards, memory_)});
  }
  std::vector<UnitMember> together;
  size_t bytes = 0;
  const auto add_unit = [&] {
    if (!together.empty())
      others_.push_back(std::make_unique<Unit>(std::exchange(together, {}), shards, memory_of_others_));
    bytes = 0;
  };
  for (const auto& parameter : model.trained) {
    if (parameter.fixed || in_blocks.contains(parameter.tensor)) continue;
    if (bytes + parameter.tensor->nbytes() > kMostTogether) add_unit();
    in_others_.push_back(parameter);
    together.push_back({parameter, parameter.tensor->scalar_type()}), bytes += parameter.tensor->nbytes();
  }
  add_unit();
  for (auto* unit : units())
    for (size_t i = 0; i < unit->own().size(); ++i) {
      const auto& own = unit->own()[i];
      own_[unit->parameter(i)] = own;
      if (own.box->whole == unit->parameter(i)->sizes()) same_in_cell_.insert(own.tensor);
    }
}

std::vector<Unit*> Sharded::units() const {
  std::vector<Unit*> all;
  for (const auto& block : blocks_) all.push_back(block.unit.get());
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

Placement::Shares Sharded::share() const {
  const int parts = cell_ ? cell_->size() : 1, count = shards_.size() * parts;
  if (replicas_ && replicas_->rank() > 0) return {std::nullopt, count};
  return {shards_.rank() * parts + (cell_ ? cell_->rank() : 0), count};
}

void Sharded::make_usable() {
  for (const auto& unit : others_) unit->begin_gather();
  for (const auto& unit : others_) unit->wait_until_whole();
}

nn::BlockPolicy* Sharded::around(nn::BlockPolicy* inner) {
  inner_ = inner;
  return this;
}

size_t Sharded::blocks_with_memory() const {
  return static_cast<size_t>(
      std::ranges::count_if(blocks_, [](const Block& block) { return block.unit->has_memory(); }));
}

void Sharded::use(size_t block, int direction) {
  blocks_[block].unit->wait_until_whole();
  const size_t next = block + static_cast<size_t>(direction);  // before the first: a large number
  if (next < blocks_.size() && (direction > 0 || blocks_[next].waits_for_backward)) blocks_[next].unit->begin_gather();
}

at::Tensor Sharded::run(const nn::StackBlock& block, const at::Tensor& x) {
  const auto compute = [&] { return inner_ ? inner_->run(block, x) : block.forward(x); };
  const auto found = number_.find(&block.module);
  if (found == number_.end()) return compute();
  const size_t i = found->second;
  if (i == 0 && uneven_) another_pass_of(1);
  in_pass_ = true;
  use(i, 1);
  auto y = compute();
  const bool learns = at::GradMode::is_enabled() && block.index >= learns_from_;
  blocks_[i].waits_for_backward = learns;
  if (learns) {
    const auto any = at::empty({0}, y.options()).set_requires_grad(true);
    y = BeforeBackward::apply(y, any, reinterpret_cast<int64_t>(this), static_cast<int64_t>(i));
  }
  // The last one is the first that the backward pass needs.
  if (!learns || i + 1 < blocks_.size()) blocks_[i].unit->release();
  if (i + 1 == blocks_.size()) in_pass_ = false;
  return y;
}

// When the backward pass of a block begins, that of the block above it has ended: autograd runs what was recorded last
// first.
void Sharded::before_backward(size_t block) {
  if (in_backward_) end_backward(*in_backward_);
  in_backward_ = block;
  use(block, -1);
}

void Sharded::end_backward(size_t block) {
  auto& [unit, waits] = blocks_[block];
  unit->release();
  finish_sum();
  unit->begin_sum();
  summing_ = unit.get(), waits = false;
}

void Sharded::finish_sum() {
  if (summing_) std::exchange(summing_, nullptr)->finish_sum();
}

void Sharded::end_pass() {
  if (in_backward_) end_backward(*std::exchange(in_backward_, std::nullopt));
  finish_sum();
  if (std::ranges::any_of(blocks_, &Block::waits_for_backward))
    fail(ErrorKind::internal, "a loss that does not depend on the language model leaves its blocks waiting");
  separate_gradients(in_others_);
}

void Sharded::add_gradients() {
  for (const auto& unit : others_) {
    unit->begin_sum();
    finish_sum();
    summing_ = unit.get();
    unit->release();
  }
  finish_sum();
  memory_of_others_.clear();
  drop_unheld();
  if (cell_) add_over(*cell_, /*of_same=*/true);
  if (replicas_) add_over(*replicas_, /*of_same=*/false);
  for (auto* unit : units()) unit->values_change();
}

// A parameter that got no gradient in any process is left alone, as in one process.
void Sharded::drop_unheld() {
  std::vector<float> holders;
  for (auto* unit : units()) holders.insert(holders.end(), unit->holders().begin(), unit->holders().end());
  const auto sum = at::tensor(holders);
  shards_.sum(sum);
  for (auto* group : {replicas_, cell_})
    if (group) group->sum(sum);
  const auto* next = sum.const_data_ptr<float>();
  for (auto* unit : units()) {
    for (const auto& parameter : unit->own())
      if (*next++ == 0) parameter.tensor->mutable_grad().reset();
    unit->forget_holders();
  }
}

// Of each unit together.
void Sharded::add_over(comm::Group& group, bool of_same) {
  for (auto* unit : units()) {
    std::vector<at::Tensor> gradients;
    for (const auto& parameter : unit->own())
      if (parameter.tensor->grad().defined() && (!of_same || same_in_cell_.contains(parameter.tensor)))
        gradients.push_back(parameter.tensor->mutable_grad().view(-1));
    if (gradients.empty()) continue;
    const auto flat = at::cat(gradients);
    group.sum(flat);
    int64_t begin = 0;
    for (auto& gradient : gradients) {
      gradient.copy_(flat.narrow(0, begin, gradient.numel()));
      begin += gradient.numel();
    }
  }
}

int Sharded::largest(int own) { return static_cast<int>(parallel::largest(own, cell_)); }

double Sharded::add_up(double own) { return parallel::sum(parallel::sum(own, &shards_), cell_); }

bool Sharded::another_pass_of(int64_t own) { return parallel::largest(own, &shards_) > 0; }

// Before each of its passes a process says that there is one, and one that has done all its own takes part in the
// others' until nobody has any left.
void Sharded::run_uneven(const std::function<void()>& passes) {
  std::exception_ptr failure;
  uneven_ = true, in_pass_ = false;
  try {
    passes();
  } catch (const std::exception& error) {
    if (in_pass_ && !blocks_.empty())
      fail(ErrorKind::distributed,
           fmt::format("a forward pass that other processes take part in was left: {}", error.what()));
    failure = std::current_exception();
  }
  uneven_ = false;
  while (!blocks_.empty() && another_pass_of(0)) {
    for (size_t i = 0; i < blocks_.size(); ++i) use(i, 1), blocks_[i].unit->release();
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace antiphon::parallel
