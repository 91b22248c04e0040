#include <antiphon/train/optimizer.h>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/mixed.h>
#include <antiphon/base/strings.h>
#include <antiphon/train/stochastic_rounding.h>

#include <algorithm>
#include <cmath>

namespace antiphon::train {

namespace {

bool is_narrow(const at::Tensor& parameter) { return parameter.scalar_type() == at::kBFloat16; }

// A rule makes its state in the parameter's format: it is shown one in float32, which takes no memory.
std::vector<std::pair<std::string, at::Tensor>> state_of(const UpdateRule& rule, Parameter parameter) {
  if (!is_narrow(*parameter.tensor)) return rule.make_state(parameter);
  auto wide = at::zeros({1}, parameter.tensor->options().dtype(at::kFloat).requires_grad(false))
                  .expand(parameter.tensor->sizes());
  parameter.tensor = &wide;
  return rule.make_state(parameter);
}

double norm_of(const std::vector<at::Tensor>& gradients) {
  if (gradients.empty()) return 0;
  if (std::ranges::none_of(gradients, is_narrow))
    return at::stack(at::_foreach_norm(gradients)).to(at::kDouble).norm().item<double>();
  double sum = 0;
  for (const auto& gradient : gradients) {
    const auto norm = at::linalg_vector_norm(gradient, 2, std::nullopt, false, at::kFloat).item<double>();
    sum += norm * norm;
  }
  return std::sqrt(sum);
}

}  // namespace

void check_groups(const std::vector<GroupOptions>& groups, const std::vector<Parameter>& trained) {
  for (size_t g = 0; g < groups.size(); ++g)
    if (std::ranges::none_of(trained, [&](const auto& one) { return glob_match(groups[g].match, one.name); }))
      fail(ErrorKind::config, fmt::format("train.groups[{}]: '{}' matches no trainable parameter", g, groups[g].match),
           trained.empty() ? "nothing is trained" : fmt::format("the first parameter is called '{}'", trained[0].name));
}

Optimizer::Optimizer(std::vector<Parameter> parameters, const std::vector<Parameter>& all, const TrainOptions& options,
                     UpdateRule& rule)
    : options_(options.optimizer), rule_(rule), parameters_(std::move(parameters)) {
  if (all.empty())
    fail(ErrorKind::config, "no parameter is trainable", "set trainable = true for a part, or add [[model.llm.peft]]");
  for (const auto& parameter : parameters_) state_.push_back(state_of(rule_, parameter));
  assign_groups(options, all);
}

void Optimizer::assign_groups(const TrainOptions& options, const std::vector<Parameter>& all) {
  check_groups(options.groups, all);
  const auto add = [&](double lr, double decay, double of_vectors, const std::string& label) {
    groups_.push_back({lr, decay, label, {}}), groups_.push_back({lr, of_vectors, label + ", vectors", {}});
  };
  for (const auto& [match, lr, decay] : options.groups)
    add(lr, decay.value_or(options_.weight_decay), decay.value_or(0), match);
  add(options_.lr, options_.weight_decay, 0, "others");
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const auto first = std::ranges::find_if(
        options.groups, [&](const auto& group) { return glob_match(group.match, parameters_[i].name); });
    const auto chosen = 2 * static_cast<size_t>(first - options.groups.begin());
    groups_[chosen + (parameters_[i].role == Role::vector ? 1 : 0)].members.push_back(i);
  }
}

// One at a time: what it is in float32 lives as long as its update.
void Optimizer::update_narrow(size_t index, const Group& group, double lr_ratio, uint64_t key) {
  const auto& parameter = parameters_[index];
  const auto wide = parameter.tensor->detach().to(at::kFloat), gradient = parameter.tensor->grad().to(at::kFloat);
  parameter.tensor->mutable_grad().reset();
  UpdateItem item{wide, gradient, {}, parameter.role, parameter.name};
  for (const auto& [name, tensor] : state_[index]) item.state.push_back(tensor);
  rule_.update({item}, group.lr * lr_ratio, group.weight_decay);
  if (parameter.most) wide.clamp_max_(*parameter.most);
  auto value = parameter.tensor->detach();
  round_stochastically(wide, value, mixed(key, parameter.name), parameter.box);
  parameter.tensor->unsafeGetTensorImpl()->bump_version();
}

void Optimizer::step(double lr_ratio, uint64_t key) {
  c10::AutoGradMode no_grad(false);
  for (const auto& group : groups_) {
    std::vector<UpdateItem> items;
    for (const auto i : group.members) {
      const auto& gradient = parameters_[i].tensor->grad();
      if (!gradient.defined() || gradient.numel() == 0) continue;
      if (is_narrow(*parameters_[i].tensor)) {
        update_narrow(i, group, lr_ratio, key);
        continue;
      }
      auto& item = items.emplace_back(
          UpdateItem{*parameters_[i].tensor, gradient, {}, parameters_[i].role, parameters_[i].name});
      for (const auto& [name, tensor] : state_[i]) item.state.push_back(tensor);
    }
    if (items.empty()) continue;
    rule_.update(items, group.lr * lr_ratio, group.weight_decay);
    // What is derived from a weight (nn/linear/of_weight.h) is made anew by its version, which LibTorch's fused updates
    // do not raise.
    for (const auto& item : items) item.parameter.unsafeGetTensorImpl()->bump_version();
    for (const auto i : group.members)
      if (parameters_[i].most) parameters_[i].tensor->clamp_max_(*parameters_[i].most);
  }
  drop_gradients();
}

double Optimizer::clip(double max_norm, const Joint* joint) {
  c10::AutoGradMode no_grad(false);
  std::vector<at::Tensor> gradients, counted;
  for (const auto& parameter : parameters_) {
    if (!parameter.tensor->grad().defined()) continue;
    gradients.push_back(parameter.tensor->mutable_grad());
    if (!joint || joint->counts(parameter)) counted.push_back(gradients.back());
  }
  double norm = norm_of(counted);
  if (joint) norm = std::sqrt(joint->add_up(norm * norm));
  const bool too_large = max_norm > 0 && norm > max_norm && std::isfinite(norm);  // else the step is skipped
  if (too_large && !gradients.empty()) at::_foreach_mul_(gradients, max_norm / (norm + 1e-6));
  return norm;
}

void Optimizer::scale_gradients(double factor) {
  c10::AutoGradMode no_grad(false);
  std::vector<at::Tensor> gradients;
  for (const auto& parameter : parameters_)
    if (parameter.tensor->grad().defined()) gradients.push_back(parameter.tensor->mutable_grad());
  if (!gradients.empty()) at::_foreach_mul_(gradients, factor);
}

void Optimizer::drop_gradients() {
  for (const auto& parameter : parameters_) parameter.tensor->mutable_grad().reset();
}

std::vector<Optimizer::State> Optimizer::state() {
  std::vector<State> all;
  for (size_t i = 0; i < parameters_.size(); ++i)
    for (auto& [name, tensor] : state_[i]) {
      auto& own = all.emplace_back(State{{parameters_[i].name + "#" + name, &tensor}, &parameters_[i]});
      const auto& of = parameters_[i];
      if (tensor.dim() == 0 || !of.box) continue;
      own.value.box = *of.box;
      if (tensor.sizes() != of.tensor->sizes())  // of a whole matrix: its rows and columns, say
        own.value.box = Box{tensor.sizes().vec(), std::vector<int64_t>(static_cast<size_t>(tensor.dim()), 0)};
    }
  return all;
}

void Optimizer::restore(const checkpoint::StoredTensors& state) {
  c10::AutoGradMode no_grad(false);
  for (const auto& [own, of] : this->state()) {
    if (of->tensor->numel() == 0) continue;  // another process has it
    const auto found = state.find(own.name);
    if (found == state.end() || found->second.sizes() != own.whole_sizes())
      fail(ErrorKind::weights,
           fmt::format("the checkpoint has no optimizer state '{}' of shape [{}]", own.name,
                       fmt::join(own.whole_sizes(), ", ")),
           "resume with the configuration that the run started with");
    own.tensor->copy_(found->second.read(own));
  }
}

std::string Optimizer::describe() const {
  std::vector<std::string> lines;
  for (const auto& group : groups_) {
    if (group.members.empty()) continue;
    int64_t count = 0;
    for (const auto i : group.members) count += parameters_[i].numel();
    lines.push_back(fmt::format("{}: {} in {} tensors, lr {:g}, weight decay {:g}", group.label,
                                human_count(static_cast<double>(count)), group.members.size(), group.lr,
                                group.weight_decay));
  }
  return options_.name + ", " + join(lines, "; ");
}

}  // namespace antiphon::train
