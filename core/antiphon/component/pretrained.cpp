#include <antiphon/component/pretrained.h>

#include <antiphon/component/model_family.h>
#include <antiphon/plugin/loader.h>

#include <fmt/format.h>

namespace antiphon {

void expect_model_type(const PretrainedConfig& pretrained, const std::string& plugin, const std::string& expected) {
  std::string type;
  take(pretrained.config, "model_type", type);
  if (type == expected) return;
  fail(ErrorKind::weights,
       fmt::format("config.json has model_type '{}'; the plugin {} reads '{}'", type, plugin, expected),
       "name the plugin of that model type, see `antiphon inspect`");
}

std::string plugin_reading(const std::string& kind, const nlohmann::json& config, const std::string& key) {
  const auto part = config.find(key);
  std::string type;
  if (part != config.end() && part->is_object()) take(*part, "model_type", type);
  if (type.empty()) fail(ErrorKind::weights, fmt::format("config.json has no '{}' with a model_type", key));
  auto name = plugin::component_reading(kind, type);
  if (name.empty())
    fail(ErrorKind::plugin,
         fmt::format("config.json has a {} of model_type '{}', which no {} plugin reads", key, type, kind),
         "`antiphon inspect` lists the plugins; write one that READS it");
  return name;
}

}  // namespace antiphon
