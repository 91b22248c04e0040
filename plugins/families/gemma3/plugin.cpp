// Gemma 3 (Team et al. 2025; transformers: models/gemma3) as a composition: SigLIP, whose patches are averaged to 256
// vectors of a picture, which see each other in the language model.
#include <antiphon/component/family_parts.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

#include <cmath>

namespace antiphon::gemma3 {
namespace {

using config::Value;

constexpr const char* kBegin = "<start_of_image>";

class Gemma3 : public ModelFamily {
 public:
  std::vector<WholePart> parts() const override;
  Value compose(const PretrainedConfig& pretrained, const std::string& directory) const override;
  void describe(const Value&, nlohmann::json&) const override {}
};

std::vector<WholePart> Gemma3::parts() const {
  std::vector<NameRule> projector;
  for (const auto& prefix : projector_prefixes()) {
    projector.push_back({prefix + "mm_input_projection_weight", "projection"});
    projector.push_back({prefix + "mm_soft_emb_norm.{}", "norm.{}"});
  }
  return picture_parts(projector);
}

// The edge of the squares of patches that become one of the picture's vectors.
int64_t pool_of(const JsonTable& config) {
  const auto side = patches_on_edge(config.table("vision_config"));
  const int64_t tokens = config.integer("mm_tokens_per_image", 256, 1, 1 << 20);
  const auto edge = static_cast<int64_t>(std::sqrt(static_cast<double>(tokens)));
  const int64_t pool = side / edge;
  if (pool < 1 || side / pool != edge || edge * edge != tokens)
    config.refuse("mm_tokens_per_image", "the square of an edge that squares of whole patches fill: there are " +
                                             std::to_string(side) + " patches on an edge");
  return pool;
}

Value Gemma3::compose(const PretrainedConfig& pretrained, const std::string& directory) const {
  const auto& config = pretrained.config;
  static const auto* keys = new ForeignKeys(
      common_keys().with({.other = {"text_config", "vision_config", "mm_tokens_per_image", "boi_token_index",
                                    "eoi_token_index", "image_token_index", "boi_token_id", "eoi_token_id",
                                    "image_token_id", "tie_word_embeddings", "vocab_size"}}));
  check_keys(config, *keys);
  const auto slot = [&](const std::string& plugin, const char* part) { return part_slot(plugin, directory, part); };
  auto connector = slot("average_pool", "multi_modal_projector");
  connector.emplace("pool", pool_of(config));
  connector.emplace("norm_eps", config.table("vision_config").number("layer_norm_eps", 1e-6, 0, 1));
  Value::Table stream{{"placeholder", kBegin},
                      {"begin", std::string("\n\n") + kBegin},
                      {"end", "<end_of_image>\n\n"},
                      {"encoder", slot(plugin_reading("encoder", config, "vision_config"), "vision_tower")},
                      {"connector", std::move(connector)}};
  return picture_model(slot(plugin_reading("language_model", config, "text_config"), "language_model"),
                       std::move(stream));
}

}  // namespace
}  // namespace antiphon::gemma3

ANTIPHON_PLUGIN(gemma3, "0.1.0") {
  using namespace antiphon::gemma3;
  antiphon::register_component<antiphon::ModelFamily, Gemma3>(registrar, "gemma3", "Gemma 3 directories");
}
