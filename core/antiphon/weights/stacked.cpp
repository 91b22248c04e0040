#include <antiphon/weights/stacked.h>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <antiphon/base/error.h>
#include <antiphon/base/strings.h>

#include <algorithm>
#include <map>

namespace antiphon::weights {
namespace {

// "a.[b,c].d" -> "a.b.d", "a.c.d"; nothing without a list.
std::vector<std::string> listed(const std::string& pattern) {
  const auto begin = pattern.find('['), end = pattern.find(']', begin);
  if (begin == std::string::npos || end == std::string::npos) return {};
  std::vector<std::string> all;
  for (size_t at = begin + 1; at <= end;) {
    const auto next = std::min(pattern.find(',', at), end);
    all.push_back(pattern.substr(0, begin) + pattern.substr(at, next - at) + pattern.substr(end + 1));
    at = next + 1;
  }
  return all;
}

int64_t rows_of(const std::unordered_map<std::string, int64_t>& rows, const std::string& parameter) {
  const auto found = rows.find(parameter);
  return found == rows.end() ? 0 : found->second;
}

class Unstacking {
 public:
  Unstacking(std::shared_ptr<const Checkpoint> file, const NameMap& map, Module& module)
      : file_(std::move(file)), map_(map), rows_(rows_of_parameters(module)) {}

  LazyTensors run() {
    for (const auto& name : file_->names()) {
      const auto stack = map_.ignores(name) ? std::nullopt : stack_called(map_, name);
      if (stack)
        divide(*stack);
      else
        take(name);
    }
    return std::move(all_);
  }

 private:
  LazyTensor lazily(const std::string& name, const std::string& from, std::function<at::Tensor()> values) const {
    const auto& info = file_->info(from);
    LazyTensor tensor{name, scalar_type_of(info, file_->path()), {}, std::move(values)};
    tensor.sizes.assign(info.shape.begin(), info.shape.end());
    tensor.forget = [file = file_, from] { file->forget(from); };
    return tensor;
  }

  void take(const std::string& name) {
    all_.push_back(lazily(name, name, [file = file_, name] { return file->tensor(name); }));
  }

  void divide(const Stack& stack) {
    const auto& shape = file_->info(stack.name).shape;
    int64_t total = 0;
    for (const auto& part : stack.parts) total += rows_of(rows_, part);
    if (shape.empty() || static_cast<int64_t>(shape.front()) != total)
      fail(ErrorKind::weights,
           fmt::format("{}: '{}' is [{}]; {} have {} rows together", file_->path().string(), stack.name,
                       fmt::join(shape, ", "), fmt::join(stack.parts, ", "), total),
           "take weights and a config.json that belong together");
    int64_t begin = 0;
    for (const auto& part : stack.parts) {
      const int64_t end = begin + rows_of(rows_, part);
      auto tensor = lazily(map_.to_checkpoint(part).value_or(part), stack.name,
                           [file = file_, stack, begin, end] { return file->slice(stack.name, begin, end); });
      tensor.sizes.front() = end - begin;
      all_.push_back(std::move(tensor));
      begin = end;
    }
  }

  std::shared_ptr<const Checkpoint> file_;
  const NameMap& map_;
  std::unordered_map<std::string, int64_t> rows_;
  LazyTensors all_;
};

// The stack of tensors that are in their order.
LazyTensor joined(const std::string& name, LazyTensors parts) {
  LazyTensor all{name, parts.front().dtype, parts.front().sizes, {}};
  all.sizes.front() = 0;
  for (const auto& part : parts) all.sizes.front() += part.sizes.front();
  all.values = [parts = std::move(parts), sizes = all.sizes, dtype = all.dtype] {
    auto values = at::empty(sizes, at::TensorOptions().dtype(dtype));
    int64_t begin = 0;
    for (const auto& part : parts) {
      values.narrow(0, begin, part.sizes.front()).copy_(part.values());
      begin += part.sizes.front();
    }
    return values;
  };
  return all;
}

}  // namespace

std::unordered_map<std::string, int64_t> rows_of_parameters(Module& module) {
  std::unordered_map<std::string, int64_t> rows;
  for (const auto& parameter : module.parameters())
    if (const auto sizes = parameter.whole_sizes(); !sizes.empty()) rows[parameter.name] = sizes.front();
  return rows;
}

bool has_stacks(const NameMap& map) {
  return std::ranges::any_of(map.rules, [](const auto& rule) { return !listed(rule.parameter).empty(); });
}

std::optional<Stack> stack_called(const NameMap& map, const std::string& name) {
  const auto pattern = map.to_parameter(name);
  auto parts = pattern ? listed(*pattern) : std::vector<std::string>();
  return parts.empty() ? std::nullopt : std::optional(Stack{name, std::move(parts)});
}

std::optional<Stack> stack_with(const NameMap& map, const std::string& parameter) {
  for (const auto& rule : map.rules) {
    for (const auto& part : listed(rule.parameter)) {
      const auto name = NameMap{{{rule.checkpoint, part}}, {}, map.whole}.to_checkpoint(parameter);
      if (name) return stack_called(map, *name);
    }
  }
  return std::nullopt;
}

std::shared_ptr<const Checkpoint> unstacked(std::shared_ptr<const Checkpoint> file, const NameMap& map,
                                            Module& module) {
  if (!has_stacks(map)) return file;
  const auto path = file->path();
  return std::make_shared<const Checkpoint>(path, Unstacking(std::move(file), map, module).run());
}

LazyTensors stacked(LazyTensors tensors, const NameMap& map) {
  if (!has_stacks(map)) return tensors;
  std::unordered_map<std::string, size_t> places;
  for (size_t i = 0; i < tensors.size(); ++i) places[tensors[i].name] = i;
  LazyTensors all;
  std::vector<bool> taken(tensors.size(), false);
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (taken[i]) continue;
    const auto parameter = map.to_parameter(tensors[i].name);
    const auto stack = parameter ? stack_with(map, *parameter) : std::nullopt;
    if (!stack) {
      all.push_back(std::move(tensors[i]));
      continue;
    }
    LazyTensors parts;
    for (const auto& part : stack->parts) {
      const auto found = places.find(map.to_checkpoint(part).value_or(part));
      if (found == places.end())
        fail(ErrorKind::weights, fmt::format("'{}' is to be written, and '{}' of it is not there", stack->name, part));
      taken[found->second] = true;
      parts.push_back(std::move(tensors[found->second]));
    }
    all.push_back(joined(stack->name, std::move(parts)));
  }
  return all;
}

}  // namespace antiphon::weights
