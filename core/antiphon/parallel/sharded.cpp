#include <antiphon/parallel/sharded.h>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/custom_function.h>

#include <antiphon/base/error.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/parallel/agreed.h>
#include <antiphon/parallel/put_together.h>
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
  std::set<const at::Tensor*> of_linear, quantized;
  for (const auto& site : block.sites()) {
    of_linear.insert({&site.linear->weight, &site.linear->bias});
    if (site.linear->is_quantized()) quantized.insert(&site.linear->weight);
  }
  std::vector<UnitMember> members;
  for (auto& parameter : block.parameters()) {
    const auto& tensor = *parameter.tensor;
    if (parameter.fixed || tensor.numel() == 0 || quantized.contains(&tensor)) continue;
    if (!tensor.requires_grad() && !model.frozen_too) continue;
    const bool cast = of_linear.contains(&tensor) && tensor.scalar_type() == at::kFloat;
    members.push_back({parameter, cast ? model.computed : tensor.scalar_type()});
  }
  return members;
}

}  // namespace

Sharded::Sharded(const ShardedModel& model, comm::Group& shards, comm::Group* replicas, const std::vector<Held>& held,
                 const BlockMember& member)
    : Placement(member), shards_(shards), replicas_(replicas), learns_from_(model.learns_from) {
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
    if (parameter.fixed || parameter.tensor->numel() == 0 || in_blocks.contains(parameter.tensor)) continue;
    if (bytes + parameter.tensor->nbytes() > kMostTogether) add_unit();
    in_others_.push_back(parameter);
    together.push_back({parameter, parameter.tensor->scalar_type()}), bytes += parameter.tensor->nbytes();
  }
  add_unit();
  for (auto* unit : units())
    for (size_t i = 0; i < unit->own().size(); ++i) own_[unit->parameter(i)] = unit->own()[i];
  for (const auto& [parameters, group, counts] : held) {
    held_.push_back({own(parameters), group, counts});
    for (const auto& rows : held_.back().parameters)
      if (!counts) counted_by_others_.insert(rows.tensor);
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

void Sharded::make_whole(const std::vector<Parameter>& parameters) {
  for (const auto& parameter : parameters) {
    const auto found = own_.find(parameter.tensor);
    if (found == own_.end() || !found->second.box) continue;
    // Of a parameter that is itself a part of one, the rows are put together to that part.
    auto rows = found->second;
    auto values = *rows.tensor;
    rows.tensor = &values, rows.box->whole = parameter.tensor->sizes().vec();
    for (size_t d = 0; parameter.box && d < rows.box->begin.size(); ++d) rows.box->begin[d] -= parameter.box->begin[d];
    put_together({rows}, shards_);
    *parameter.tensor = values;
  }
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
  shards_.sum(sum);
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
  for (const auto& [own, i] : number)
    if (has[i] == 0) own->mutable_grad().reset();
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

double Sharded::add_up(double own) { return parallel::sum(parallel::sum(own, &shards_), block()); }

bool Sharded::another_pass_of(int64_t own) { return parallel::largest(own, &shards_) > 0; }

// Before each of its passes a process says that there is one, and one that has done all its own takes part in the
// others' until nobody has any left.
void Sharded::run_uneven(const std::function<void()>& passes) {
  std::exception_ptr failure;
  uneven_ = true, in_pass_ = false;
  try {
    in_block(passes);
  } catch (const std::exception& error) {
    const auto* own = dynamic_cast<const Error*>(&error);
    if (own && own->kind() == ErrorKind::distributed) throw;
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
