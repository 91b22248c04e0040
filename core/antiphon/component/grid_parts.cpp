#include <antiphon/component/family_parts.h>
#include <antiphon/component/grid_parts.h>

namespace antiphon {

void GridRules::add_text(const std::string& prefix) {
  for (const std::string module : {"embed_tokens", "layers", "norm"})
    text.push_back({prefix + "model." + module + ".{}", "model." + module + ".{}"});
  text.push_back({prefix + "lm_head.{}", "lm_head.{}"});
  text.push_back({prefix + "model.language_model.{}", "model.{}"});
}

void GridRules::add_tower(const std::string& prefix) {
  for (const std::string module : {"patch_embed", "blocks"}) tower.push_back({prefix + module + ".{}", module + ".{}"});
  merger.push_back({prefix + "merger.ln_q.{}", "norm.{}"});
  merger.push_back({prefix + "merger.mlp.0.{}", "layers.0.{}"});
  merger.push_back({prefix + "merger.mlp.2.{}", "layers.1.{}"});
}

config::Value::Table grid_merger(const JsonTable& tower, int64_t width, const std::string& directory,
                                 const std::string& norm) {
  const int64_t factor = tower.integer("spatial_merge_size", 2, 1, 16);
  auto slot = part_slot("pixel_shuffle", directory, "merger");
  slot.insert({{"factor", factor},
               {"norm", norm},
               {"norm_first", true},
               {"norm_eps", 1e-6},
               {"hidden_size", factor * factor * width}});
  return slot;
}

}  // namespace antiphon
