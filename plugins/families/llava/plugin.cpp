// LLaVA-1.5 (Liu et al. 2023; transformers: models/llava) and LLaVA-NeXT (models/llava_next) as compositions.
#include <fmt/format.h>

#include <antiphon/component/register.h>
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

// hidden_states[n] of transformers never has the final norm of a tower; "layer = -1" of an encoder has it.
int64_t feature_layer(const nlohmann::json& json) {
  if (const auto it = json.find("vision_feature_layer"); it != json.end() && it->is_array())
    fail(ErrorKind::weights,
         "config.json joins several layers (vision_feature_layer is a list), which is not supported",
         "compose it by hand: encoder = [{…}, {…}] with a layer each");
  int64_t layer = -2, blocks = 0;
  take(json, "vision_feature_layer", layer);
  take(json.at("vision_config"), "num_hidden_layers", blocks);
  return layer == -1 && blocks > 0 ? blocks : layer;
}

Value encoder(const PretrainedConfig& pretrained, const std::string& directory) {
  const auto& json = pretrained.config;
  Value::Table slot{{"plugin", plugin_reading("encoder", json, "vision_config")},
                    {"weights", directory},
                    {"part", "vision_tower"},
                    {"layer", feature_layer(json)}};
  std::string select = "default", type;
  take(json, "vision_feature_select_strategy", select);
  take(json.at("vision_config"), "model_type", type);
  const bool has_class_token = type != "siglip_vision_model";
  if (select == "full" && has_class_token) slot.emplace("class_token", true);
  if (select == "default" && !has_class_token)
    fail(ErrorKind::weights,
         fmt::format(
             "config.json drops the first vector (vision_feature_select_strategy 'default') of a {}, which has no "
             "class token: that would be a patch",
             type),
         "set it to 'full'");
  return slot;
}

Value model(const PretrainedConfig& pretrained, const std::string& directory, Value encoder, std::string connector) {
  const auto& json = pretrained.config;
  bool bias = true;
  take(json, "multimodal_projector_bias", bias);
  if (!bias) fail(ErrorKind::weights, "config.json has multimodal_projector_bias = false, which is not supported");
  std::string activation = "gelu";
  take(json, "projector_hidden_act", activation);
  Value::Table projector{{"plugin", std::move(connector)},
                         {"depth", 2},
                         {"activation", activation},
                         {"weights", directory},
                         {"part", "multi_modal_projector"}};
  Value::Table stream{{"placeholder", "<image>"}, {"encoder", std::move(encoder)}, {"connector", std::move(projector)}};
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
    std::vector<std::vector<int64_t>> pinpoints;
    take(json, "image_grid_pinpoints", pinpoints);
    Value::Array resolutions;
    for (const auto& size : pinpoints) {
      if (size.size() != 2) fail(ErrorKind::weights, "image_grid_pinpoints must hold pairs of height and width");
      resolutions.emplace_back(fmt::format("{}x{}", size[0], size[1]));
    }
    if (resolutions.empty()) fail(ErrorKind::weights, "config.json has no image_grid_pinpoints");
    auto slot = encoder(pretrained, directory);
    slot.get_if<Value::Table>()->emplace("tile_resolutions", std::move(resolutions));
    return model(pretrained, directory, std::move(slot), "anyres_mlp");
  }
};

}  // namespace
}  // namespace antiphon::llava

ANTIPHON_PLUGIN(llava, "0.1.0") {
  using namespace antiphon::llava;
  antiphon::register_model_family<Llava>(registrar, "llava", "LLaVA-1.5 directories");
  antiphon::register_model_family<LlavaNext>(registrar, "llava_next", "LLaVA-NeXT directories (pictures in tiles)");
}
