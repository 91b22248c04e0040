#include <antiphon/component/model_family.h>

#include "faulty.h"

namespace antiphon::fixture {
namespace model_family {
namespace {

enum class Fault { none, two_owners, no_language_model, any_config };

// A tower before a language model.
template <Fault fault>
class TwoParts : public ModelFamily {
 public:
  std::vector<WholePart> parts() const override {
    const std::string tower = fault == Fault::two_owners ? "language_model.tower.{}" : "tower.{}";
    const std::string llm = fault == Fault::no_language_model ? "head" : "llm";
    return {{"language_model", llm, "text_config", {{"language_model.{}", "{}"}}},
            {"tower", "streams.image.encoder", "vision_config", {{tower, "{}"}}}};
  }
  config::Value compose(const PretrainedConfig& pretrained, const std::string&) const override {
    if (fault == Fault::any_config) return config::Value::Table{};
    return config::Value::Table{{"llm", plugin_reading("language_model", pretrained.config, "text_config")}};
  }
  void describe(const config::Value&, nlohmann::json&) const override {}
};

}  // namespace
}  // namespace model_family

void add_families(plugin::Registrar& registrar) {
  using namespace model_family;
  register_component<ModelFamily, TwoParts<Fault::none>>(registrar, "sound", "");
  register_component<ModelFamily, TwoParts<Fault::two_owners>>(registrar, "two_owners", "of one name");
  register_component<ModelFamily, TwoParts<Fault::no_language_model>>(registrar, "no_language_model", "");
  register_component<ModelFamily, TwoParts<Fault::any_config>>(registrar, "any_config", "composes without parts");
}

}  // namespace antiphon::fixture
