// The text half of CLIP (Radford et al. 2021; transformers: models/clip/modeling_clip.py): causal blocks; a text's
// vector is that of its last token, <|endoftext|>. transformers finds that token by eos_token_id, or takes the largest
// id of the text if that is 2, as in files from before its correction.
#include <antiphon/backbone/text_tower.h>
#include <antiphon/backbone/vit_pretrained.h>
#include <antiphon/component/language_model.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::clip_text {

struct ClipTextOptions : backbone::TextTowerOptions {
  int64_t eos_token_id = -1;
  void read_pretrained(const PretrainedConfig& pretrained);
};

const config::Table<ClipTextOptions>& clip_text_table() {
  static const auto* table =
      new config::Table<ClipTextOptions>(backbone::text_tower_table<ClipTextOptions>("clip_text")
                                             .field("eos_token_id", &ClipTextOptions::eos_token_id,
                                                    "the token that the tokenizer must end every text with; 2: the "
                                                    "largest of its ids, as early files mean it; -1: any",
                                                    {.min = -1, .max = 1 << 24}));
  return *table;
}

void ClipTextOptions::read_pretrained(const PretrainedConfig& given) {
  auto pretrained = given;
  pretrained.config = backbone::with_config_dicts(given.config);
  const auto text = backbone::half_config(pretrained, "clip_text", "clip", "text");
  eos_token_id = 49407;
  read_keys(text, backbone::text_tower_keys(), clip_text_table(), *this);
  read_options(text, {{"eos_token_id", "eos_token_id", 0}}, clip_text_table(), *this);
}

class ClipText : public backbone::TextTower {
 public:
  explicit ClipText(const ClipTextOptions& options)
      : TextTower(options, {.plugin = "clip_text",
                            .causal = true,
                            .others = {"vision_model.*", "visual_projection.*", "text_projection.*", "logit_scale"}}) {}
};

}  // namespace antiphon::clip_text

ANTIPHON_PLUGIN(clip_text, "0.1.0") {
  using namespace antiphon::clip_text;
  antiphon::register_component<antiphon::LanguageModel, ClipText>(registrar, "clip_text", "the text half of CLIP",
                                                                  clip_text_table());
}
