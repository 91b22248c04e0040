#include <antiphon/weights/stacked_adapter.h>

#include <ATen/core/Tensor.h>

#include <antiphon/base/log.h>

#include <algorithm>

namespace antiphon::weights {
namespace {

// Whether the key is of a layer that is a part of a stack.
bool is_of_stack(const std::string& key, const NameMap& names) {
  return any_module_of(key, [&](const auto& module) {
    const auto parameter = names.to_parameter(module + ".weight");
    return parameter && stack_with(names, *parameter, /*in_memory=*/true).has_value();
  });
}

bool has_parts(const AdapterFile& file, const NameMap& names) {
  return has_stacks(names) &&
         std::ranges::any_of(file.tensors, [&](const auto& tensor) { return is_of_stack(tensor.first, names); });
}

}  // namespace

AdapterFile stacked_adapter(AdapterFile file, const Peft& method, const StackedPart& stacks) {
  if (!has_parts(file, stacks.names)) return file;
  auto whole = file;
  const auto why = method.stack_layers(whole, stacks);
  if (why.empty()) return whole;
  log::warning("PEFT does not read this adapter, of layers that transformers' model does not have apart: " + why);
  return file;
}

std::shared_ptr<const Checkpoint> unstacked_adapter(const std::shared_ptr<const Checkpoint>& file,
                                                    nlohmann::json& config, Peft& method, const StackedPart& stacks) {
  AdapterFile parts{file->path().string(), {}, config};
  for (const auto& name : file->names()) parts.tensors.emplace_back(name, file->tensor(name));
  if (!method.unstack_layers(parts, stacks)) return file;
  config = std::move(parts.config);
  return std::make_shared<const Checkpoint>(file->path(), lazy(parts.tensors));
}

}  // namespace antiphon::weights
