// InternVL 2.5 to 3.5 (Chen et al. 2024, Zhu et al. 2025, Wang et al. 2025) as compositions: InternViT, squares of
// whose vectors are joined, and Qwen2, Qwen3 or Llama; in the form of transformers (models/internvl) and in that of the
// remote code (OpenGVLab/InternVL, internvl_chat/internvl/model/internvl_chat).
#include <antiphon/component/family_parts.h>
#include <antiphon/component/register.h>
#include <antiphon/nn/activation.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::internvl {
namespace {

using config::Value;
using nlohmann::json;

class InternVl : public ModelFamily {
 public:
  std::vector<WholePart> parts() const override;
  Value compose(const PretrainedConfig& pretrained, const std::string& directory) const override;
  void describe(const Value& model, json& config) const override {
    write_feature_layer(model, "vision_feature_layer", config);
    write_option(model, "streams.image.connector.activation", "projector_hidden_act", config);
  }
};

std::vector<WholePart> InternVl::parts() const {
  std::vector<NameRule> projector;
  for (const auto& prefix : projector_prefixes()) {
    projector.push_back({prefix + "layer_norm.{}", "norm.{}"});
    projector.push_back({prefix + "linear_1.{}", "layers.0.{}"});
    projector.push_back({prefix + "linear_2.{}", "layers.1.{}"});
  }
  return picture_parts(projector);
}

// With the class token, "full", the vectors are not a square.
Value InternVl::compose(const PretrainedConfig& pretrained, const std::string& directory) const {
  const auto& config = pretrained.config;
  static const auto* keys = new ForeignKeys(common_keys().with(
      {.fixed = {{"vision_feature_select_strategy", {"default"}}},
       .other = {"text_config", "vision_config", "image_token_id", "image_seq_length", "downsample_ratio",
                 "projector_hidden_act", "vision_feature_layer", "tie_word_embeddings", "vocab_size"}}));
  check_keys(config, *keys);
  const auto& known = nn::activation_names();
  check_fixed(config, {"projector_hidden_act", std::vector<json>(known.begin(), known.end())});
  auto encoder = part_slot(plugin_reading("encoder", config, "vision_config"), directory, "vision_tower");
  encoder.emplace("layer", feature_layer(config, "vision_feature_layer", "vision_config", 24, -1));
  auto connector = part_slot("pixel_shuffle", directory, "multi_modal_projector");
  connector.emplace("factor", one_over(config, "downsample_ratio", 0.5));
  connector.emplace("activation", config.text("projector_hidden_act", "gelu"));
  return picture_model(part_slot(plugin_reading("language_model", config, "text_config"), directory, "language_model"),
                       {{"placeholder", "<IMG_CONTEXT>"},
                        {"video_placeholder", "<video>"},
                        {"begin", "<img>"},
                        {"end", "</img>"},
                        {"encoder", std::move(encoder)},
                        {"connector", std::move(connector)}});
}

class InternVlChat : public ModelFamily {
 public:
  std::vector<WholePart> parts() const override;
  Value compose(const PretrainedConfig& pretrained, const std::string& directory) const override;
  void describe(const Value& model, json& config) const override { write_feature_layer(model, "select_layer", config); }
};

std::vector<WholePart> InternVlChat::parts() const {
  return {{"language_model", "llm", "llm_config", {{"language_model.{}", "{}"}}},
          {"vision_model", "streams.image.encoder", "vision_config", {{"vision_model.{}", "{}"}}},
          {"mlp1",
           "streams.image.connector",
           "",
           {{"mlp1.0.{}", "norm.{}"}, {"mlp1.1.{}", "layers.0.{}"}, {"mlp1.3.{}", "layers.1.{}"}}}};
}

// Tiles, and what each is stretched to: config.json decides, and not the preprocessor's file.
void read_tiles(const JsonTable& config, Value::Table& encoder) {
  const int64_t own = config.table("vision_config").integer("image_size", 224, 1, 1 << 14);
  encoder.emplace("fit", "stretch");
  encoder.emplace("input_size", config.integer("force_image_size", own, 1, 1 << 14));
  if (!config.flag("dynamic_image_size", false)) {
    encoder.emplace("max_tiles", 0);
    return;
  }
  if (!config.flag("use_thumbnail", false))
    config.refuse("use_thumbnail", "true: the whole picture goes beside its tiles");
  encoder.emplace("min_tiles", config.integer("min_dynamic_patch", 1, 1, 1024));
  encoder.emplace("max_tiles", config.integer("max_dynamic_patch", 6, 1, 1024));
}

// Templates take text only and do not know pictures, which stand as "<image>" and a line break in what is asked.
Value InternVlChat::compose(const PretrainedConfig& pretrained, const std::string& directory) const {
  const auto& config = pretrained.config;
  static const auto* keys = new ForeignKeys(
      common_keys().with({.fixed = {{"pad2square", {false}},
                                    {"use_backbone_lora", {0}, "fold the adapters in first"},
                                    {"use_llm_lora", {0}, "fold the adapters in first"}},
                          .other = {"llm_config", "vision_config", "select_layer", "force_image_size",
                                    "downsample_ratio", "ps_version", "template", "system_message",
                                    "dynamic_image_size", "use_thumbnail", "min_dynamic_patch", "max_dynamic_patch",
                                    "hidden_size", "tie_word_embeddings", "auto_map", "image_fold", "_commit_hash"}}));
  check_keys(config, *keys);
  if (config.text("ps_version", "v1") != "v2")
    config.refuse("ps_version", "\"v2\": without it the squares of a picture are taken column by column");
  auto encoder = part_slot(plugin_reading("encoder", config, "vision_config"), directory, "vision_model");
  encoder.emplace("layer", feature_layer(config, "select_layer", "vision_config", 48, -1));
  read_tiles(config, encoder);
  auto connector = part_slot("pixel_shuffle", directory, "mlp1");
  connector.emplace("factor", one_over(config, "downsample_ratio", 0.5));
  return picture_model(
      part_slot(plugin_reading("language_model", config, "llm_config"), directory, "language_model"),
      {{"begin", "<img>"}, {"end", "</img>\n"}, {"encoder", std::move(encoder)}, {"connector", std::move(connector)}});
}

}  // namespace
}  // namespace antiphon::internvl

ANTIPHON_PLUGIN(internvl, "0.1.0") {
  using namespace antiphon::internvl;
  antiphon::register_component<antiphon::ModelFamily, InternVl>(registrar, "internvl", "InternVL directories");
  antiphon::register_component<antiphon::ModelFamily, InternVlChat>(registrar, "internvl_chat",
                                                                    "InternVL directories of the remote code");
}
