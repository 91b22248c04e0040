#include <antiphon/weights/stacked.h>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <antiphon/base/error.h>
#include <antiphon/base/strings.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <utility>

namespace antiphon::weights {
namespace {

bool is_transposed(const std::string& pattern) { return pattern.ends_with('\''); }

// "a.[b,c].d" -> "a.b.d", "a.c.d"; "a.*.b" -> itself; nothing without a list or experts.
std::vector<std::string> listed(std::string pattern) {
  if (is_transposed(pattern)) pattern.pop_back();
  const auto begin = pattern.find('['), end = pattern.find(']', begin);
  if (begin == std::string::npos || end == std::string::npos)
    return pattern.find('*') == std::string::npos ? std::vector<std::string>() : std::vector{pattern};
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

std::string of_expert(std::string part, int64_t expert) {
  const auto at = part.find('*');
  return at == std::string::npos ? part : part.replace(at, 1, std::to_string(expert));
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
  void take(const std::string& name) { all_.push_back(lazily(file_, name, name)); }

  int64_t rows_together(const std::vector<std::string>& parts) const {
    int64_t total = 0;
    for (const auto& part : parts) total += rows_of(rows_, part);
    return total;
  }

  void check(const Stack& stack, int64_t experts) const {
    const auto& whole = file_->info(stack.name).shape;
    const bool of_experts = stack.is_of_experts();
    std::vector<int64_t> shape(whole.begin(), whole.end());
    bool fits = !shape.empty() && (!of_experts || (shape.size() == 3 && shape.front() == experts));
    if (fits && of_experts) shape.erase(shape.begin());
    if (fits && stack.transposed && shape.size() == 2) std::swap(shape[0], shape[1]);
    const auto total = rows_together(stack.parts_of(0));
    if (fits && shape.front() == total) return;
    fail(ErrorKind::weights,
         fmt::format("{}: '{}' is [{}]; {} have {} rows together{}", file_->path().string(), stack.name,
                     fmt::join(whole, ", "), fmt::join(stack.parts, ", "), total,
                     of_experts ? fmt::format(", of each of {} experts", experts) : ""),
         "take weights and a config.json that belong together");
  }

  // The expert's matrix, with rows first.
  static at::Tensor matrix(const Checkpoint& file, const Stack& stack, int64_t expert) {
    const auto own = file.slice(stack.name, expert, expert + 1).squeeze(0);
    return stack.transposed ? own.t() : own;
  }

  void divide(const Stack& stack) {
    const auto experts = experts_of(stack, rows_);
    check(stack, experts);
    for (int64_t expert = 0; expert < experts; ++expert) {
      int64_t begin = 0;
      for (const auto& part : stack.parts_of(expert)) {
        const int64_t end = begin + rows_of(rows_, part);
        auto tensor = lazily(file_, stack.name, map_.to_checkpoint(part).value_or(part));
        tensor.values = [file = file_, stack, expert, begin, end] {
          if (stack.is_of_experts()) return matrix(*file, stack, expert).slice(0, begin, end);
          return stack.transposed ? file->tensor(stack.name).t().slice(0, begin, end)
                                  : file->slice(stack.name, begin, end);
        };
        if (stack.is_of_experts()) tensor.sizes.erase(tensor.sizes.begin());
        if (stack.transposed) std::swap(tensor.sizes[0], tensor.sizes[1]);
        tensor.sizes.front() = end - begin;
        all_.push_back(std::move(tensor));
        begin = end;
      }
    }
  }

  std::shared_ptr<const Checkpoint> file_;
  const NameMap& map_;
  std::unordered_map<std::string, int64_t> rows_;
  LazyTensors all_;
};

// The stack of tensors that are in their order: of experts one after the other.
LazyTensor joined(const Stack& stack, LazyTensors parts) {
  const auto of_expert = stack.parts.size(), experts = parts.size() / of_expert;
  LazyTensor all{stack.name, parts.front().dtype, parts.front().sizes, {}};
  all.sizes.front() = 0;
  for (size_t i = 0; i < of_expert; ++i) all.sizes.front() += parts[i].sizes.front();
  if (stack.transposed) std::swap(all.sizes[0], all.sizes[1]);
  if (stack.is_of_experts()) all.sizes.insert(all.sizes.begin(), static_cast<int64_t>(experts));
  all.values = [parts = std::move(parts), of_expert, stack, sizes = all.sizes, dtype = all.dtype] {
    auto values = at::empty(sizes, at::TensorOptions().dtype(dtype));
    int64_t begin = 0;
    for (size_t i = 0; i < parts.size(); ++i) {
      if (i % of_expert == 0) begin = 0;
      auto own = stack.is_of_experts() ? values[static_cast<int64_t>(i / of_expert)] : values;
      if (stack.transposed) own = own.t();
      own.narrow(0, begin, parts[i].sizes.front()).copy_(parts[i].values());
      begin += parts[i].sizes.front();
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

int64_t experts_of(const Stack& stack, const std::unordered_map<std::string, int64_t>& rows) {
  if (!stack.is_of_experts()) return 1;
  int64_t count = 0;
  while (rows.contains(stack.parts_of(count).front())) ++count;
  return count;
}

bool has_stacks(const NameMap& map) {
  return std::ranges::any_of(map.rules, [](const auto& rule) { return !listed(rule.parameter).empty(); });
}

std::vector<std::string> Stack::parts_of(int64_t expert) const {
  std::vector<std::string> own;
  for (const auto& part : parts) own.push_back(of_expert(part, expert));
  return own;
}

std::optional<Stack> stack_called(const NameMap& map, const std::string& name) {
  const auto pattern = map.to_parameter(name);
  auto parts = pattern ? listed(*pattern) : std::vector<std::string>();
  return parts.empty() ? std::nullopt : std::optional(Stack{name, std::move(parts), is_transposed(*pattern)});
}

namespace {

// The numbers in a dotted name, as texts; "" for a part that is of no expert.
std::vector<std::string> numbers_in(const std::string& parameter, const std::string& part) {
  if (part.find('*') == std::string::npos) return {""};
  std::vector<std::string> numbers;
  for (const auto& segment : split(parameter, '.'))
    if (!segment.empty() && std::ranges::all_of(segment, [](unsigned char c) { return std::isdigit(c); }))
      numbers.push_back(segment);
  return numbers;
}

}  // namespace

std::optional<Stack> stack_with(const NameMap& map, const std::string& parameter, bool in_memory) {
  for (const auto& rule : map.rules) {
    if (rule.read_only && !(in_memory && rule.parameter.find('*') != std::string::npos)) continue;
    for (const auto& part : listed(rule.parameter))
      for (const auto& number : numbers_in(parameter, part)) {
        auto own = part;
        if (const auto at = own.find('*'); at != std::string::npos) own.replace(at, 1, number);
        const auto name = NameMap{{{rule.checkpoint, own}}, {}, map.whole}.to_checkpoint(parameter);
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
    for (int64_t expert = 0; expert == 0 || stack->is_of_experts(); ++expert) {
      const auto own = stack->parts_of(expert);
      const auto place = [&](const std::string& part) { return places.find(map.to_checkpoint(part).value_or(part)); };
      if (expert > 0 && std::ranges::all_of(own, [&](const auto& part) { return place(part) == places.end(); })) break;
      for (const auto& part : own) {
        const auto found = place(part);
        if (found == places.end())
          fail(ErrorKind::weights,
               fmt::format("'{}' is to be written, and '{}' of it is not there", stack->name, part));
        taken[found->second] = true;
        parts.push_back(std::move(tensors[found->second]));
      }
    }
    all.push_back(joined(*stack, std::move(parts)));
  }
  return all;
}

}  // namespace antiphon::weights
