#include <antiphon/component/module.h>

#include <antiphon/component/limits.h>

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <antiphon/base/error.h>

#include <algorithm>
#include <cmath>

namespace antiphon {
namespace {

void fill(at::Tensor& tensor, Init init, at::Generator& generator) {
  switch (init) {
    case Init::zeros: tensor.zero_(); break;
    case Init::ones: tensor.fill_(1); break;
    case Init::normal_002: tensor.normal_(0.0, 0.02, generator); break;
    case Init::normal: tensor.normal_(0.0, 1.0, generator); break;
    case Init::linear_uniform: {
      const double fan_in = static_cast<double>(tensor.numel() / tensor.size(0));
      const double bound = 1.0 / std::sqrt(fan_in);
      tensor.uniform_(-bound, bound, generator);
      break;
    }
    case Init::log_inverse_007: tensor.fill_(-std::log(0.07)); break;
    case Init::log_10: tensor.fill_(std::log(10.0)); break;
    case Init::minus_10: tensor.fill_(-10); break;
  }
}

}  // namespace

void check_parameter_count(Module& module) {
  constexpr int64_t most = int64_t{1} << 42;
  const int64_t count = module.parameter_count();
  if (count > most)
    fail(ErrorKind::config, fmt::format("{} parameters in all; at most {}", count, most),
         "check its widths and the number of its layers");
}

std::string join_path(const std::string& prefix, const std::string& name) {
  return prefix.empty() ? name : name.empty() ? prefix : prefix + "." + name;
}

std::vector<int64_t> Parameter::whole_sizes() const { return box ? box->whole : tensor->sizes().vec(); }

at::Tensor Parameter::part_of(const at::Tensor& whole) const {
  if (!box) return whole;
  auto part = whole;
  for (int64_t d = 0; d < whole.dim(); ++d) part = part.narrow(d, box->begin[static_cast<size_t>(d)], tensor->size(d));
  return part.contiguous();
}

int64_t Parameter::numel() const { return c10::multiply_integers(whole_sizes()); }

Module::~Module() = default;

void Module::visit(const std::string& prefix, const std::function<void(const std::string&, Module&)>& body) {
  body(prefix, *this);
  for (auto& [name, child] : children_) child->visit(join_path(prefix, name), body);
}

std::vector<Parameter> Module::parameters() {
  std::vector<Parameter> all;
  visit("", [&](const std::string& path, Module& module) {
    for (const auto& own : module.own_) {
      all.push_back(own);
      all.back().name = join_path(path, own.name);
    }
  });
  return all;
}

std::vector<Site> Module::sites() {
  std::vector<Site> all;
  visit("", [&](const std::string& path, Module& module) {
    if (module.linear_) all.push_back({path, module.linear_});
  });
  return all;
}

std::vector<Site> Module::tables() {
  std::vector<Site> all;
  visit("", [&](const std::string& path, Module& module) {
    for (const auto& [name, table] : module.tables_) all.push_back({join_path(path, name), nullptr, table});
  });
  return all;
}

int64_t Module::parameter_count() {
  int64_t count = 0;
  for (const auto& parameter : parameters()) count += parameter.numel();
  return count;
}

int64_t Module::trainable_count() {
  int64_t count = 0;
  for (const auto& parameter : parameters())
    if (parameter.tensor->requires_grad()) count += parameter.numel();
  return count;
}

void Module::set_requires_grad(bool on) {
  for (auto& parameter : parameters()) parameter.tensor->set_requires_grad(on && !parameter.fixed);
}

void Module::initialize(uint64_t seed, at::Device device) {
  c10::AutoGradMode no_grad(false);
  auto generator = at::detail::createCPUGenerator(seed);
  for (auto& parameter : parameters()) {
    if (!parameter.tensor->is_meta()) continue;
    const bool trainable = parameter.tensor->requires_grad();
    const auto options = parameter.tensor->options().device(at::kCPU).requires_grad(false);
    auto value = at::empty(parameter.whole_sizes(), options);
    fill(value, parameter.init, generator);  // the whole, so that all processes draw the same
    *parameter.tensor = (parameter.box ? parameter.part_of(value).clone() : value).to(device);
    parameter.tensor->set_requires_grad(trainable);
  }
}

void Module::to(at::Device device, at::ScalarType dtype) {
  c10::AutoGradMode no_grad(false);
  for (auto& parameter : parameters()) {
    const bool trainable = parameter.tensor->requires_grad();
    const auto target = parameter.tensor->is_meta() ? at::Device(at::kMeta) : device;
    *parameter.tensor = parameter.tensor->detach().to(target, dtype);
    parameter.tensor->set_requires_grad(trainable);
  }
}

void Module::add(std::string name, at::Tensor& tensor, at::IntArrayRef shape, Init init, Role role,
                 std::optional<double> most) {
  double values = 1;
  for (const int64_t size : shape) values *= static_cast<double>(size);
  if (!(values >= 0 && values <= 0x1p38))
    fail(ErrorKind::config,
         fmt::format("the parameter '{}' would be [{}]; at most 2^38 values", name, fmt::join(shape, ", ")),
         "check the sizes that it is made of");
  tensor = at::empty(shape, at::TensorOptions().device(at::kMeta).dtype(at::kFloat));
  own_.push_back({std::move(name), &tensor, init, role});
  own_.back().most = most;
}

void Module::keep_part(at::Tensor& tensor, int64_t dimension, int64_t begin, int64_t size) {
  const auto own = std::ranges::find(own_, &tensor, &Parameter::tensor);
  if (own == own_.end() || !tensor.is_meta())
    fail(ErrorKind::internal, "only a part of an own parameter that has no values yet can be kept");
  if (!own->box) own->box = Box{tensor.sizes().vec(), std::vector<int64_t>(static_cast<size_t>(tensor.dim()), 0)};
  own->box->begin[static_cast<size_t>(dimension)] += begin;
  const bool trained = tensor.requires_grad();
  tensor = tensor.detach().narrow(dimension, begin, size).clone();
  tensor.set_requires_grad(trained);
}

void Module::keep(bool all) {
  visit("", [&](const std::string&, Module& module) {
    for (auto& own : module.own_) module.keep_part(*own.tensor, 0, 0, all ? own.tensor->size(0) : 0);
  });
}

void Module::add_fixed(std::string name, at::Tensor& tensor, at::IntArrayRef shape, Init init) {
  add(std::move(name), tensor, shape, init, Role::vector);
  own_.back().fixed = true;
}

void Module::add_constant(std::string name, at::Tensor& tensor, at::IntArrayRef shape) {
  add_fixed(std::move(name), tensor, shape, Init::zeros);
  own_.back().constant = true;
}

void Module::adopt(Parameter parameter) { own_.push_back(std::move(parameter)); }

void Module::add(std::string name, Module& child) { children_.emplace_back(std::move(name), &child); }

void Module::add(std::string name, TokenTable& table) { tables_.emplace_back(std::move(name), &table); }

}  // namespace antiphon
