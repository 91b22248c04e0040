#include <antiphon/model/compose_adapter.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>
#include <antiphon/component/json_table.h>
#include <antiphon/model/adapter_part.h>
#include <antiphon/model/whole_model.h>
#include <antiphon/plugin/loader.h>

#include <algorithm>

namespace antiphon::model {
namespace {

namespace fs = std::filesystem;
using config::Value;

bool has(const fs::path& directory, const char* name) {
  return is_folder(directory, ErrorKind::weights) && path_exists(directory / name, ErrorKind::weights);
}

// In the same folder, as it is written, or beside the adapter.
fs::path base_of(const fs::path& directory, const JsonTable& config) {
  if (holds_adapter(directory)) return directory;
  const auto name = config.text(kPeftBaseModel, "");
  for (const auto& base : {fs::path(name), directory / name})
    if (!name.empty() && is_folder(base, ErrorKind::weights) && !is_adapter_folder(base))
      return base.lexically_normal();
  config.refuse(kPeftBaseModel, "the directory of the model that it changes",
                "fetch that model, and write its path there; or compose the model and name the adapter in "
                "[[model.llm.peft]] with plugin and weights");
}

std::string method_of(const JsonTable& config) {
  const auto type = config.text(kPeftMethod, "");
  auto plugin = plugin::component_reading("peft", type);
  if (plugin.empty())
    fail(ErrorKind::plugin, fmt::format("{} is '{}', which no plugin reads", config.place(kPeftMethod), shown(type)),
         "`antiphon inspect` lists the methods of fine-tuning");
  return plugin;
}

// Adds the method to the slot, "streams.image.encoder".
void add_to_slot(Value& model, const std::string& slot, const std::string& plugin, const fs::path& directory) {
  auto* table = model.get_if<Value::Table>();
  for (const auto& key : split(slot, '.')) table = (*table)[key].get_if<Value::Table>();
  if (!table) fail(ErrorKind::internal, fmt::format("the composition has no table at {}", slot));
  table->insert_or_assign("peft", Value::Array{Value::Table{{"plugin", plugin}, {"weights", directory.string()}}});
}

}  // namespace

bool is_adapter_folder(const fs::path& directory) {
  return has(directory, "adapter_config.json") && !has(directory, "config.json");
}

bool holds_adapter(const fs::path& directory) {
  return has(directory, "adapter_config.json") && has(directory, "config.json");
}

Value compose_adapter(const fs::path& directory) {
  auto files = weights::adapter_files(directory);
  const JsonTable config(files.config, weights::adapter_config_path(directory));
  const auto base = base_of(directory, config);
  const auto plugin = method_of(config);
  auto model = compose_model(base.string());
  const auto* llm = model.find("llm");
  if (!llm || !llm->find("part")) return add_to_slot(model, "llm", plugin, directory), model;
  files.tensors = weights::adapter_tensors(directory);
  auto left = files.tensors->names();
  const WholeModel whole(base);
  for (const auto& part : whole.parts()) {
    const auto own = part_of(files, adapter_place(whole, part.name));
    const bool of_prompt = part.is_language_model() && std::ranges::count(left, kPeftPrompt) > 0;
    if (!own.taken.empty() || of_prompt) add_to_slot(model, part.slot, plugin, directory);
    // What stands without a prefix is of no layer: virtual tokens, matrices that layers share.
    std::erase_if(
        left, [&](const auto& key) { return !key.starts_with(kPeftPrefix) || std::ranges::count(own.taken, key) > 0; });
  }
  if (!left.empty())
    fail(ErrorKind::weights,
         fmt::format("{}: {} of its tensors are of no part of {} that is known, the first is '{}'", directory.string(),
                     left.size(), base.string(), shown(left.front())),
         "take the adapter and the model that belong together");
  return model;
}

}  // namespace antiphon::model
