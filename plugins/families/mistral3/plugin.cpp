// Mistral Small 3.1 (transformers: models/mistral3) as a composition: Pixtral's vision transformer, squares of whose
// vectors are joined, and Mistral, with tokens between the rows of a picture.
#include <antiphon/component/family_parts.h>
#include <antiphon/component/register.h>
#include <antiphon/nn/activation.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::mistral3 {
namespace {

using config::Value;

constexpr int64_t kBlocks = 24;  // of PixtralVisionConfig

class Mistral3 : public ModelFamily {
 public:
  std::vector<WholePart> parts() const override;
  Value compose(const PretrainedConfig& pretrained, const std::string& directory) const override;
  void describe(const Value& model, nlohmann::json& config) const override {
    write_feature_layer(model, "vision_feature_layer", config);
  }
};

std::vector<WholePart> Mistral3::parts() const {
  std::vector<NameRule> projector;
  for (const auto& prefix : projector_prefixes()) {
    projector.push_back({prefix + "norm.{}", "norm.{}"});
    projector.push_back({prefix + "patch_merger.merging_layer.{}", "merging_layer.{}"});
    projector.push_back({prefix + "linear_1.{}", "layers.0.{}"});
    projector.push_back({prefix + "linear_2.{}", "layers.1.{}"});
  }
  return picture_parts(projector);
}

Value Mistral3::compose(const PretrainedConfig& pretrained, const std::string& directory) const {
  const auto& config = pretrained.config;
  static const auto* keys = new ForeignKeys(
      common_keys().with({.other = {"text_config", "vision_config", "image_token_index", "image_token_id",
                                    "projector_hidden_act", "vision_feature_layer", "multimodal_projector_bias",
                                    "spatial_merge_size", "tie_word_embeddings", "vocab_size", "is_composition"}}));
  check_keys(config, *keys);
  const auto& known = nn::activation_names();
  check_fixed(config, {"projector_hidden_act", std::vector<nlohmann::json>(known.begin(), known.end())});
  const auto slot = [&](const std::string& plugin, const char* part) { return part_slot(plugin, directory, part); };
  const int64_t factor = config.integer("spatial_merge_size", 2, 1, 16);
  auto encoder = slot(plugin_reading("encoder", config, "vision_config"), "vision_tower");
  encoder.emplace("merge_size", factor),
      encoder.emplace("layer", feature_layer(config, "vision_feature_layer", "vision_config", kBlocks, -1));
  auto connector = slot("patch_merger", "multi_modal_projector");
  connector.insert({{"factor", factor},
                    {"activation", config.text("projector_hidden_act", "gelu")},
                    {"norm_eps", config.table("text_config").number("rms_norm_eps", 1e-6, 0, 1)},
                    {"bias", config.flag("multimodal_projector_bias", false)}});
  Value::Table stream{{"placeholder", "[IMG]"},
                      {"end", "[IMG_END]"},
                      {"row_break", "[IMG_BREAK]"},
                      {"encoder", std::move(encoder)},
                      {"connector", std::move(connector)}};
  return picture_model(slot(plugin_reading("language_model", config, "text_config"), "language_model"),
                       std::move(stream));
}

}  // namespace
}  // namespace antiphon::mistral3

ANTIPHON_PLUGIN(mistral3, "0.1.0") {
  using namespace antiphon::mistral3;
  antiphon::register_component<antiphon::ModelFamily, Mistral3>(registrar, "mistral3", "Mistral Small 3.1 directories");
}
