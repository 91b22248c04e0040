#include <antiphon/component/family_parts.h>

#include <fmt/format.h>

#include <antiphon/config/path.h>

#include <cmath>

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
           {{"vision_tower.{}", "{}"}, {"model.vision_tower.{}", "{}"}},
           // CLIP's and SigLIP's have one module less within a whole model of transformers 5.
           {{"model.vision_tower.{}", "vision_model.{}"}}},
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

config::Value picture_model(config::Value::Table llm, config::Value::Table stream) {
  return config::Value::Table{{"llm", std::move(llm)}, {"streams", config::Value::Table{{"image", std::move(stream)}}}};
}

int64_t patches_on_edge(const JsonTable& tower) {
  return tower.integer("image_size", 224, 1, 1 << 14) / tower.integer("patch_size", 16, 1, 1 << 12);
}

int64_t one_over(const JsonTable& config, const std::string& key, double usual) {
  const double ratio = config.number(key, usual, 0.05, 1);
  const auto number = static_cast<int64_t>(std::llround(1 / ratio));
  if (std::abs(static_cast<double>(number) * ratio - 1) > 1e-9) config.refuse(key, "one over a whole number");
  return number;
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

void write_option(const config::Value& model, const std::string& path, const std::string& key, nlohmann::json& config) {
  if (const auto* option = config::at_path(model, path))
    config[key] = nlohmann::json::parse(config::to_json(*option, 0));
}

void write_whole_number(const config::Value& model, const std::string& path, const std::string& key,
                        nlohmann::json& config) {
  write_option(model, path, key, config);
  const auto found = config.find(key);
  if (!config::at_path(model, path) || !found->is_number_float()) return;
  const auto number = found->get<double>();
  if (number != std::trunc(number))
    fail(ErrorKind::config, fmt::format("model.{} = {} is not a whole number", path, number),
         fmt::format("{} of config.json has room for one only", key));
  *found = static_cast<int64_t>(number);
}

}  // namespace antiphon
