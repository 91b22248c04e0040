#include <antiphon/model/export_unsaid.h>

#include <fmt/format.h>

#include <antiphon/config/flat_config.h>
#include <antiphon/model/part_slot.h>
#include <antiphon/model/whole_model.h>

#include <map>

namespace antiphon::model {
namespace {

using Options = std::map<std::string, std::string>;

// By section; of the model's parts, not of methods on them.
std::map<std::string, Options> options_of(MultimodalLm& model) {
  std::map<std::string, Options> all;
  for (const auto& slot : slots_of(model))
    if (slot.kind != PartKind::peft && slot.options) all[slot.section()] = config::flat_config(*slot.options);
  return all;
}

std::string text_of(const Options& options, const std::string& key) {
  const auto found = options.find(key);
  return found == options.end() ? "\"\"" : found->second;
}

// Values stay on the meta device.
std::map<std::string, Options> options_of(const std::filesystem::path& directory) {
  config::Value value(config::Value::Table{{"from", config::Value(directory.string())}});
  expand_from(value);
  config::Problems problems;
  auto spec = model_table().parse(value, "model", problems);
  problems.throw_if_any();
  return options_of(build(spec)->lm());
}

}  // namespace

std::vector<std::string> left_unsaid(MultimodalLm& model, const std::filesystem::path& directory) {
  std::vector<std::string> unsaid;
  const auto said = options_of(directory);
  for (const auto& [section, options] : options_of(model)) {
    const auto own = said.find(section);
    if (own == said.end()) continue;
    auto all = own->second;
    all.insert(options.begin(), options.end());
    for (const auto& [key, _] : all)  // empty ones are left out
      if (const auto ours = text_of(options, key), theirs = text_of(own->second, key); ours != theirs)
        unsaid.push_back(fmt::format("{}.{} = {}, and {} by the directory", section, key, ours, theirs));
  }
  return unsaid;
}

}  // namespace antiphon::model
