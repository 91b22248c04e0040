// Idefics3 and SmolVLM2 (Laurençon et al. 2024, Marafioti et al. 2025; transformers: models/idefics3, models/smolvlm)
// as compositions: a SigLIP over pictures in tiles, squares of whose vectors are joined and mapped by one matrix, and
// Llama.
#include <antiphon/component/family_parts.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::idefics3 {
namespace {

using config::Value;
using nlohmann::json;

constexpr const char* kTower = "vision_config";

const ForeignKeys& whole_keys() {
  static const auto* keys = new ForeignKeys(
      common_keys().with({.fixed = {{"use_resampler", {false}}},
                          .other = {"text_config", kTower, "image_token_id", "scale_factor", "tie_word_embeddings",
                                    "vocab_size", "image_seq_len", "use_reentrant_checkpointing", "_pad_token_id"}}));
  return *keys;
}

class Idefics3 : public ModelFamily {
 public:
  std::vector<WholePart> parts() const override;
  JsonTable current(const JsonTable& config) const override;
  Value compose(const PretrainedConfig& pretrained, const std::string& directory) const override;
  void describe(const Value& model, json& config) const override;
};

std::vector<WholePart> Idefics3::parts() const {
  return {
      {"text_model", "llm", "text_config", {{"model.text_model.{}", "model.{}"}, {"lm_head.{}", "lm_head.{}"}}},
      {"vision_model", "streams.image.encoder", kTower, {{"model.vision_model.{}", "{}"}}},
      {"connector", "streams.image.connector", "", {{"model.connector.modality_projection.proj.{}", "layers.0.{}"}}}};
}

// The tower's table of the first files says the whole's type, or none.
JsonTable Idefics3::current(const JsonTable& config) const {
  const auto tower = config.table(kTower);
  const auto type = config.text("model_type", "idefics3");
  if (!tower.exists() || tower.text("model_type", type) != type) return config;
  return config.with(kTower, tower.with("model_type", type + "_vision").json());
}

// What stands among the embeddings of a picture, see processing_idefics3.py.
void add_texts(Value::Table& stream) {
  const std::string around = "<fake_token_around_image>";
  stream.emplace("tile_begin", around + "<row_{row}_col_{column}>");
  stream.emplace("tile_row_end", "\n");
  stream.emplace("tiles_end", "\n");
  stream.emplace("whole_begin", around + "<global-img>");
  stream.emplace("end", around);
}

Value Idefics3::compose(const PretrainedConfig& pretrained, const std::string& directory) const {
  const auto& config = pretrained.config;
  check_keys(config, whole_keys());
  auto connector = part_slot("pixel_shuffle", directory, "connector");
  connector.insert(
      {{"factor", config.integer("scale_factor", 2, 1, 16)}, {"depth", 1}, {"norm", "none"}, {"bias", false}});
  Value::Table stream{{"placeholder", "<image>"},
                      {"encoder", part_slot(plugin_reading("encoder", config, kTower), directory, "vision_model")},
                      {"connector", std::move(connector)}};
  add_texts(stream);
  return picture_model(part_slot(plugin_reading("language_model", config, "text_config"), directory, "text_model"),
                       std::move(stream));
}

void Idefics3::describe(const Value& model, json& config) const {
  write_option(model, "streams.image.connector.factor", "scale_factor", config);
}

}  // namespace
}  // namespace antiphon::idefics3

ANTIPHON_PLUGIN(idefics3, "0.1.0") {
  using namespace antiphon::idefics3;
  antiphon::register_component<antiphon::ModelFamily, Idefics3>(registrar, "idefics3", "Idefics3 directories");
  antiphon::register_component<antiphon::ModelFamily, Idefics3>(registrar, "smolvlm", "SmolVLM2 directories");
}
