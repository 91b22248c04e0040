// A family of whole models: one tower, one linear layer, one language model in a directory of transformers.
#include <antiphon/component/model_family.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

using namespace antiphon;
using Table = config::Value::Table;

class TwoParts : public ModelFamily {
 public:
  std::vector<WholePart> parts() const override {
    return {{"language_model", "llm", "text_config", {{"language_model.{}", "{}"}}},
            {"tower", "streams.image.encoder", "vision_config", {{"tower.{}", "{}"}}},
            {"bridge", "streams.image.connector", "", {{"bridge.{}", "{}"}}}};
  }
  config::Value compose(const PretrainedConfig& pretrained, const std::string& directory) const override {
    const auto slot = [&](const std::string& plugin, const std::string& part) {
      return Table{{"plugin", plugin}, {"weights", directory}, {"part", part}};
    };
    const auto& json = pretrained.config;
    return Table{
        {"llm", slot(plugin_reading("language_model", json, "text_config"), "language_model")},
        {"streams", Table{{"image", Table{{"encoder", slot(plugin_reading("encoder", json, "vision_config"), "tower")},
                                          {"connector", slot("linear", "bridge")}}}}}};
  }
  void describe(const config::Value&, nlohmann::json&) const override {}
};

ANTIPHON_PLUGIN(two_parts, "0.1.0") {
  register_component<ModelFamily, TwoParts>(registrar, "two_parts", "a tower before a language model");
}
