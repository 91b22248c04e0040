#include <antiphon/component/family_parts.h>

#include <antiphon/config/path.h>

namespace antiphon {
namespace {

int64_t blocks_of(const JsonTable& config, const std::string& tower, int64_t usual) {
  return config.table(tower).integer("num_hidden_layers", usual, 1, 1000);
}

WholePart language_model() {
  return {"language_model",
          "llm",
          "text_config",
          {{"language_model.{}", "{}"}, {"model.language_model.{}", "model.{}"}, {"lm_head.{}", "lm_head.{}"}}};
}

}  // namespace

std::vector<WholePart> picture_parts(const std::vector<NameRule>& projector) {
  return {language_model(),
          {"vision_tower",
           "streams.image.encoder",
           "vision_config",
           {{"vision_tower.{}", "{}"}, {"model.vision_tower.{}", "{}"}}},
          {"multi_modal_projector", "streams.image.connector", "", projector}};
}

std::vector<WholePart> sound_parts(const std::vector<NameRule>& projector) {
  return {language_model(),
          {"audio_tower",
           "streams.audio.encoder",
           "audio_config",
           {{"audio_tower.{}", "model.encoder.{}"}, {"model.audio_tower.{}", "model.encoder.{}"}}},
          {"multi_modal_projector", "streams.audio.connector", "", projector}};
}

std::vector<std::string> projector_prefixes() { return {"multi_modal_projector.", "model.multi_modal_projector."}; }

config::Value::Table part_slot(const std::string& plugin, const std::string& directory, const std::string& part) {
  return {{"plugin", plugin}, {"weights", directory}, {"part", part}};
}

int64_t feature_layer(const JsonTable& config, const std::string& key, const std::string& tower, int64_t blocks,
                      int64_t usual) {
  if (const auto* layer = config.find(key); layer && layer->is_array())
    config.refuse(key, "one layer: several are not joined",
                  "compose it by hand: encoder = [{…}, {…}] with a layer each");
  const int64_t all = blocks_of(config, tower, blocks);
  return config.integer(key, usual, -all - 1, all);
}

int64_t feature_layer_without_norm(const JsonTable& config, const std::string& key, const std::string& tower,
                                   int64_t blocks) {
  const int64_t layer = feature_layer(config, key, tower, blocks, -2);
  return layer == -1 ? blocks_of(config, tower, blocks) : layer;
}

void write_feature_layer(const config::Value& model, const std::string& key, nlohmann::json& config) {
  if (const auto* layer = config::at_path(model, "streams.image.encoder.layer"))
    config[key] = *layer->get_if<int64_t>();
}

}  // namespace antiphon
