#include <antiphon/component/pretrained.h>

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

}  // namespace antiphon
