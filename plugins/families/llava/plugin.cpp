// LLaVA-1.5 (Liu et al. 2023; transformers: models/llava), Pixtral in its form (mistral-community/pixtral-12b) and
// LLaVA-NeXT (models/llava_next) as compositions.
#include <antiphon/component/family_parts.h>
#include <antiphon/component/register.h>
#include <antiphon/nn/activation.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::llava {
namespace {

using config::Value;

std::vector<NameRule> projector_names() {
  std::vector<NameRule> rules;
  for (const auto& prefix : projector_prefixes()) {
    rules.push_back({prefix + "linear_1.{}", "layers.0.{}"});
    rules.push_back({prefix + "linear_2.{}", "layers.1.{}"});
  }
  return rules;
}

// Keys that say where the image's tokens stand, and how many there are: both are known from elsewhere.
const ForeignKeys& llava_keys() {
  static const auto* keys = new ForeignKeys(common_keys().with(
      {.fixed = {{"multimodal_projector_bias", {true}}, {"use_image_newline_parameter", {true}}},
       .other = {"text_config", "vision_config", "vision_feature_layer", "vision_feature_select_strategy",
                 "projector_hidden_act", "image_grid_pinpoints", "tie_word_embeddings", "image_token_index",
                 "image_token_id", "image_seq_length", "ignore_index", "vocab_size"}}));
  return *keys;
}

// What a tower has besides patches, and what its processor writes around and between them.
struct Tower {
  bool class_token = true;
  int64_t blocks = 12;  // if config.json leaves it out
  const char *placeholder = "<image>", *end = "", *row_break = "";
};

Tower tower_of(const JsonTable& json) {
  const auto type = json.table("vision_config").text("model_type", "");
  if (type == "pixtral") return {false, 24, "[IMG]", "[IMG_END]", "[IMG_BREAK]"};
  return {.class_token = type != "siglip_vision_model"};
}

Value encoder(const PretrainedConfig& pretrained, const std::string& directory) {
  const auto& json = pretrained.config;
  check_keys(json, llava_keys());
  const auto& known = nn::activation_names();
  check_fixed(json, {"projector_hidden_act", std::vector<nlohmann::json>(known.begin(), known.end())});
  auto slot = part_slot(plugin_reading("encoder", json, "vision_config"), directory, "vision_tower");
  slot.emplace("layer",
               feature_layer_without_norm(json, "vision_feature_layer", "vision_config", tower_of(json).blocks));
  check_fixed(json, {"vision_feature_select_strategy", {"default", "full"}});
  const bool full = json.text("vision_feature_select_strategy", "default") == "full";
  const bool has_class_token = tower_of(json).class_token;
  if (full && has_class_token) slot.emplace("class_token", true);
  if (!full && !has_class_token)
    json.refuse("vision_feature_select_strategy",
                "\"full\": this tower has no class token, and the first vector, which would be dropped, is a patch");
  return slot;
}

Value model(const PretrainedConfig& pretrained, const std::string& directory, Value encoder,
            const std::string& connector) {
  const auto& json = pretrained.config;
  auto projector = part_slot(connector, directory, "multi_modal_projector");
  projector.insert({{"depth", 2}, {"activation", json.text("projector_hidden_act", "gelu")}});
  const auto tower = tower_of(json);
  Value::Table stream{
      {"placeholder", tower.placeholder}, {"encoder", std::move(encoder)}, {"connector", std::move(projector)}};
  if (*tower.end) stream.emplace("end", tower.end), stream.emplace("row_break", tower.row_break);
  auto llm = part_slot(plugin_reading("language_model", json, "text_config"), directory, "language_model");
  return picture_model(std::move(llm), std::move(stream));
}

// As the encoder and the projector are used in a [model] table.
void write_use(const Value& model, nlohmann::json& json) {
  const auto& stream = *model.find("streams")->find("image");
  const auto* class_token = stream.find("encoder")->find("class_token");
  write_feature_layer(model, "vision_feature_layer", json);
  const bool whole = !class_token || *class_token->get_if<bool>();  // nothing is dropped
  json["vision_feature_select_strategy"] = whole ? "full" : "default";
  write_option(model, "streams.image.connector.activation", "projector_hidden_act", json);
}

class Llava : public ModelFamily {
 public:
  void describe(const Value& model, nlohmann::json& config) const override { write_use(model, config); }
  std::vector<WholePart> parts() const override { return picture_parts(projector_names()); }
  Value compose(const PretrainedConfig& pretrained, const std::string& directory) const override {
    return model(pretrained, directory, encoder(pretrained, directory), "mlp");
  }
};

class LlavaNext : public ModelFamily {
 public:
  void describe(const Value& model, nlohmann::json& config) const override { write_use(model, config); }
  std::vector<WholePart> parts() const override {
    auto names = projector_names();
    names.insert(names.end(), {{"image_newline", "newline"}, {"model.image_newline", "newline"}});
    return picture_parts(names);
  }

  Value compose(const PretrainedConfig& pretrained, const std::string& directory) const override {
    const auto& json = pretrained.config;
    Value::Array resolutions;
    for (auto& size : json.sizes("image_grid_pinpoints")) resolutions.emplace_back(std::move(size));
    if (resolutions.empty()) json.refuse("image_grid_pinpoints", "a list of pairs [height, width]");
    auto slot = encoder(pretrained, directory);
    slot.get_if<Value::Table>()->emplace("tile_resolutions", std::move(resolutions));
    return model(pretrained, directory, std::move(slot), "anyres_mlp");
  }
};

}  // namespace
}  // namespace antiphon::llava

ANTIPHON_PLUGIN(llava, "0.1.0") {
  using namespace antiphon::llava;
  antiphon::register_component<antiphon::ModelFamily, Llava>(registrar, "llava", "LLaVA-1.5 and Pixtral directories");
  antiphon::register_component<antiphon::ModelFamily, LlavaNext>(registrar, "llava_next",
                                                                 "LLaVA-NeXT directories (pictures in tiles)");
}
