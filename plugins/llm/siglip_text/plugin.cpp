// The text half of SigLIP (Zhai et al. 2023; transformers: models/siglip/modeling_siglip.py): every text is padded to
// max_positions, tokens see each other and the padding, and a text's vector is that of the last token.
#include <antiphon/backbone/text_tower.h>
#include <antiphon/backbone/vit_pretrained.h>
#include <antiphon/component/language_model.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

#include <fmt/format.h>

namespace antiphon::siglip_text {

struct SiglipTextOptions : backbone::TextTowerOptions {
  int64_t pad_token_id = 1;

  SiglipTextOptions() {
    vocab_size = 32000, hidden_size = 768, intermediate_size = 3072, num_heads = 12, max_positions = 64;
    layer_norm_eps = 1e-6, activation = "gelu_pytorch_tanh";
  }
  void read_pretrained(const PretrainedConfig& pretrained);
};

const config::Table<SiglipTextOptions>& siglip_text_table() {
  static const auto* table =
      new config::Table<SiglipTextOptions>(backbone::text_tower_table<SiglipTextOptions>("siglip_text")
                                               .field("pad_token_id", &SiglipTextOptions::pad_token_id,
                                                      "the token that texts are filled up with", {.min = 0}));
  return *table;
}

void SiglipTextOptions::read_pretrained(const PretrainedConfig& pretrained) {
  const auto text = backbone::half_config(pretrained, "siglip_text", "siglip", "text");
  read_keys(text, backbone::text_tower_keys(), siglip_text_table(), *this);
  read_options(text, {{"pad_token_id", "pad_token_id"}}, siglip_text_table(), *this);
}

TextPadding padding_of(const SiglipTextOptions& o) {
  if (o.pad_token_id >= o.vocab_size)
    fail(ErrorKind::config,
         fmt::format("siglip_text: pad_token_id = {} and vocab_size = {}", o.pad_token_id, o.vocab_size));
  return {o.max_positions, o.pad_token_id};
}

class SiglipText : public backbone::TextTower {
 public:
  explicit SiglipText(const SiglipTextOptions& options)
      : TextTower(options, {.plugin = "siglip_text",
                            .padding = padding_of(options),
                            .others = {"vision_model.*", "head.*", "text_model.head.*", "logit_scale", "logit_bias"}}) {
  }
};

}  // namespace antiphon::siglip_text

ANTIPHON_PLUGIN(siglip_text, "0.1.0") {
  using namespace antiphon::siglip_text;
  antiphon::register_component<antiphon::LanguageModel, SiglipText>(registrar, "siglip_text", "the text half of SigLIP",
                                                                    siglip_text_table());
}
