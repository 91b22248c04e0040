// Qwen3-VL (Bai et al. 2025; transformers: models/qwen3_vl) as a composition: a vision transformer over pictures and
// videos of any size, mergers of squares of its vectors, of the last block and of some before, and Qwen3 that places
// them by row and column and adds the others after its first layers.
#include <antiphon/component/family_parts.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::qwen3_vl {
namespace {

using config::Value;
using nlohmann::json;

const ForeignKeys& whole_keys() {
  static const auto* keys = new ForeignKeys(
      common_keys().with({.other = {"text_config", "vision_config", "image_token_id", "video_token_id",
                                    "vision_start_token_id", "vision_end_token_id", "tie_word_embeddings"}}));
  return *keys;
}

class Qwen3Vl : public ModelFamily {
 public:
  std::vector<WholePart> parts() const override;
  JsonTable current(const JsonTable& config) const override;
  Value compose(const PretrainedConfig& pretrained, const std::string& directory) const override;
  void describe(const Value&, json&) const override {}
};

std::vector<WholePart> Qwen3Vl::parts() const {
  const std::string visual = "model.visual.", taps = visual + "deepstack_merger_list.{}.";
  std::vector<NameRule> tower,
      merger{{visual + "merger.norm.{}", "norm.{}"},           {visual + "merger.linear_fc1.{}", "layers.0.{}"},
             {visual + "merger.linear_fc2.{}", "layers.1.{}"}, {taps + "norm.{}", "taps.{}.norm.{}"},
             {taps + "linear_fc1.{}", "taps.{}.layers.0.{}"},  {taps + "linear_fc2.{}", "taps.{}.layers.1.{}"}};
  for (const std::string module : {"patch_embed", "pos_embed", "blocks"})
    tower.push_back({visual + module + ".{}", module + ".{}"});
  return {
      {"language_model", "llm", "text_config", {{"model.language_model.{}", "model.{}"}, {"lm_head.{}", "lm_head.{}"}}},
      {"vision_tower", "streams.image.encoder", "vision_config", tower},
      {"merger", "streams.image.connector", "", merger}};
}

// The tower's table of the first files says the whole's type.
JsonTable Qwen3Vl::current(const JsonTable& config) const {
  const auto tower = config.table("vision_config");
  if (!tower.exists() || tower.text("model_type", "qwen3_vl") != "qwen3_vl") return config;
  return config.with("vision_config", tower.with("model_type", "qwen3_vl_vision").json());
}

Value Qwen3Vl::compose(const PretrainedConfig& pretrained, const std::string& directory) const {
  const auto& config = pretrained.config;
  check_keys(config, whole_keys());
  const auto slot = [&](const std::string& plugin, const char* part) { return part_slot(plugin, directory, part); };
  auto llm = slot(plugin_reading("language_model", config, "text_config"), "language_model");
  auto encoder = slot(plugin_reading("encoder", config, "vision_config"), "vision_tower");
  const auto tower = config.table("vision_config");
  const int64_t factor = tower.integer("spatial_merge_size", 2, 1, 16),
                width = tower.integer("hidden_size", 1152, 1, 1 << 20);
  const auto* taps = tower.find("deepstack_visual_indexes");
  if (taps && !taps->is_array()) tower.refuse("deepstack_visual_indexes", "a list of blocks");
  auto connector = slot("pixel_shuffle", "merger");
  connector.insert({{"factor", factor},
                    {"norm_first", true},
                    {"norm_eps", 1e-6},
                    {"hidden_size", factor * factor * width},
                    {"taps", taps ? static_cast<int64_t>(taps->size()) : 3}});
  Value::Table stream{{"placeholder", "<|image_pad|>"},
                      {"video_placeholder", "<|video_pad|>"},
                      {"encoder", std::move(encoder)},
                      {"connector", std::move(connector)}};
  return picture_model(std::move(llm), std::move(stream));
}

}  // namespace
}  // namespace antiphon::qwen3_vl

ANTIPHON_PLUGIN(qwen3_vl, "0.1.0") {
  using namespace antiphon::qwen3_vl;
  antiphon::register_component<antiphon::ModelFamily, Qwen3Vl>(registrar, "qwen3_vl", "Qwen3-VL directories");
}
