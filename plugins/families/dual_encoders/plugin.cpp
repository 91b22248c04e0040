// CLIP (Radford et al. 2021; transformers: models/clip) and SigLIP (Zhai et al. 2023; models/siglip) as compositions of
// the graph "dual_encoder": an image tower with its pool, a text tower, and what compares the two.
#include <antiphon/backbone/vit_pretrained.h>
#include <antiphon/component/family_parts.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::dual_encoders {
namespace {

using config::Value;

// What the two differ in: names of what follows the towers.
struct Kind {
  std::vector<NameRule> tower_head, text_head;
};

const ForeignKeys& keys() {
  static const auto* keys =
      new ForeignKeys(common_keys().with({.other = {"text_config", "vision_config", "text_config_dict",
                                                    "vision_config_dict", "projection_dim", "tie_word_embeddings"}}));
  return *keys;
}

Value::Table composed(const JsonTable& json, const std::string& directory, Value::Table encoder_options,
                      const Value::Table& head_options) {
  check_keys(json, keys());
  auto encoder = part_slot(plugin_reading("encoder", json, "vision_config"), directory, "vision_model");
  encoder.merge(encoder_options);
  encoder["pooled"] = true, encoder["trainable"] = true;
  auto head = part_slot("pair", directory, "head");
  for (const auto& [key, value] : head_options) head[key] = value;
  auto text = part_slot(plugin_reading("language_model", json, "text_config"), directory, "text_model");
  text["trainable"] = true;
  return {{"graph", "dual_encoder"},
          {"llm", std::move(text)},
          {"streams", Value::Table{{"image", Value::Table{{"encoder", std::move(encoder)},
                                                          {"connector", Value::Table{{"plugin", "identity"}}}}}}},
          {"head", std::move(head)}};
}

std::vector<WholePart> parts_of(const Kind& kind) {
  WholePart text{"text_model",
                 "llm",
                 "text_config",
                 {{"text_model.embeddings.{}", "embeddings.{}"},
                  {"text_model.encoder.{}", "encoder.{}"},
                  {"text_model.final_layer_norm.{}", "final_layer_norm.{}"}}};
  WholePart vision{"vision_model", "streams.image.encoder", "vision_config", kind.tower_head};
  vision.names.push_back({"vision_model.{}", "{}"});
  return {std::move(text), std::move(vision), {"head", "head", "", kind.text_head}};
}

class Clip : public ModelFamily {
 public:
  std::vector<WholePart> parts() const override { return parts_of(kind()); }
  JsonTable current(const JsonTable& config) const override { return backbone::with_config_dicts(config); }
  Value compose(const PretrainedConfig& pretrained, const std::string& directory) const override {
    const auto width = pretrained.config.integer("projection_dim", 512, 1, 1 << 20);
    return composed(pretrained.config, directory, {{"projection_dim", width}}, {{"projection_dim", width}});
  }
  void describe(const Value&, nlohmann::json&) const override {}

 private:
  static Kind kind() {
    return {{{"visual_projection.{}", "visual_projection.{}"}},
            {{"text_projection.{}", "text_projection.{}"}, {"logit_scale", "logit_scale"}}};
  }
};

class Siglip : public ModelFamily {
 public:
  std::vector<WholePart> parts() const override { return parts_of(kind()); }
  Value compose(const PretrainedConfig& pretrained, const std::string& directory) const override {
    const auto text = pretrained.config.table("text_config");
    constexpr int64_t usual = 768;
    const auto width = text.integer("projection_size", text.integer("hidden_size", usual, 1, 1 << 20), 1, 1 << 20);
    const auto seen = pretrained.config.table("vision_config").integer("hidden_size", usual, 1, 1 << 20);
    if (width != seen) text.refuse("projection_size", std::to_string(seen) + ", the width of the vision tower");
    return composed(pretrained.config, directory, {},
                    {{"projection_dim", width}, {"projection_bias", true}, {"logit_bias", true}, {"max_scale", 0.0}});
  }
  void describe(const Value&, nlohmann::json&) const override {}

 private:
  static Kind kind() {
    return {
        {},
        {{"text_model.head.{}", "text_projection.{}"}, {"logit_scale", "logit_scale"}, {"logit_bias", "logit_bias"}}};
  }
};

}  // namespace
}  // namespace antiphon::dual_encoders

ANTIPHON_PLUGIN(dual_encoders, "0.1.0") {
  using namespace antiphon::dual_encoders;
  antiphon::register_component<antiphon::ModelFamily, Clip>(registrar, "clip", "CLIP directories");
  antiphon::register_component<antiphon::ModelFamily, Siglip>(registrar, "siglip", "SigLIP directories");
}
