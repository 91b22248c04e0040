// LLaVA-1.5 (Liu et al. 2023; transformers: models/llava), Pixtral in its form (mistral-community/pixtral-12b) and
// LLaVA-NeXT (models/llava_next) as compositions.
#include <antiphon/component/model_family.h>
#include <antiphon/component/register.h>
#include <antiphon/nn/activation.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::llava {
namespace {

using config::Value;

// Names as files on disk have them, then as transformers 5 has them in memory.
std::vector<WholePart> parts_of(const std::vector<NameRule>& projector) {
  return {{"language_model",
           "llm",
           "text_config",
           {{"language_model.{}", "{}"}, {"model.language_model.{}", "model.{}"}, {"lm_head.{}", "lm_head.{}"}}},
          {"vision_tower",
           "streams.image.encoder",
           "vision_config",
           {{"vision_tower.{}", "{}"}, {"model.vision_tower.{}", "{}"}}},
          {"multi_modal_projector", "streams.image.connector", "", projector}};
}

std::vector<NameRule> projector_names() {
  std::vector<NameRule> rules;
  for (const std::string prefix : {"multi_modal_projector.", "model.multi_modal_projector."}) {
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
  int64_t blocks = 12;  // where config.json leaves it out
  const char *placeholder = "<image>", *end = "", *row_break = "";
};

Tower tower_of(const JsonTable& json) {
  const auto type = json.table("vision_config").text("model_type", "");
  if (type == "pixtral") return {false, 24, "[IMG]", "[IMG_END]", "[IMG_BREAK]"};
  return {.class_token = type != "siglip_vision_model"};
}

// hidden_states[n] of transformers never has the final norm of a tower; "layer = -1" of an encoder has it.
int64_t feature_layer(const JsonTable& json) {
  if (const auto* layer = json.find("vision_feature_layer"); layer && layer->is_array())
    json.refuse("vision_feature_layer", "one layer: several are not joined",
                "compose it by hand: encoder = [{…}, {…}] with a layer each");
  const int64_t blocks = json.table("vision_config").integer("num_hidden_layers", tower_of(json).blocks, 1, 1000);
  const int64_t layer = json.integer("vision_feature_layer", -2, -blocks - 1, blocks);
  return layer == -1 ? blocks : layer;
}

Value encoder(const PretrainedConfig& pretrained, const std::string& directory) {
  const auto& json = pretrained.config;
  check_keys(json, llava_keys());
  const auto& known = nn::activation_names();
  check_fixed(json, {"projector_hidden_act", std::vector<nlohmann::json>(known.begin(), known.end())});
  Value::Table slot{{"plugin", plugin_reading("encoder", json, "vision_config")},
                    {"weights", directory},
                    {"part", "vision_tower"},
                    {"layer", feature_layer(json)}};
  check_fixed(json, {"vision_feature_select_strategy", {"default", "full"}});
  const bool full = json.text("vision_feature_select_strategy", "default") == "full";
  const bool has_class_token = tower_of(json).class_token;
  if (full && has_class_token) slot.emplace("class_token", true);
  if (!full && !has_class_token)
    json.refuse("vision_feature_select_strategy",
                "\"full\": this tower has no class token, and the first vector, which would be dropped, is a patch");
  return slot;
}

Value model(const PretrainedConfig& pretrained, const std::string& directory, Value encoder, std::string connector) {
  const auto& json = pretrained.config;
  Value::Table projector{{"plugin", std::move(connector)},
                         {"depth", 2},
                         {"activation", json.text("projector_hidden_act", "gelu")},
                         {"weights", directory},
                         {"part", "multi_modal_projector"}};
  const auto tower = tower_of(json);
  Value::Table stream{
      {"placeholder", tower.placeholder}, {"encoder", std::move(encoder)}, {"connector", std::move(projector)}};
  if (*tower.end) stream.emplace("end", tower.end), stream.emplace("row_break", tower.row_break);
  Value::Table llm{{"plugin", plugin_reading("language_model", json, "text_config")},
                   {"weights", directory},
                   {"part", "language_model"}};
  return Value::Table{{"llm", std::move(llm)}, {"streams", Value::Table{{"image", std::move(stream)}}}};
}

// As the encoder and the projector are used in a [model] table.
void write_use(const Value& model, nlohmann::json& json) {
  const auto& stream = *model.find("streams")->find("image");
  const auto& encoder = *stream.find("encoder");
  const auto* layer = encoder.find("layer");
  const auto* class_token = encoder.find("class_token");
  if (layer) json["vision_feature_layer"] = *layer->get_if<int64_t>();
  const bool whole = !class_token || *class_token->get_if<bool>();  // nothing is dropped
  json["vision_feature_select_strategy"] = whole ? "full" : "default";
  json["projector_hidden_act"] = *stream.find("connector")->find("activation")->get_if<std::string>();
}

class Llava : public ModelFamily {
 public:
  void describe(const Value& model, nlohmann::json& config) const override { write_use(model, config); }
  std::vector<WholePart> parts() const override { return parts_of(projector_names()); }
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
    return parts_of(names);
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
