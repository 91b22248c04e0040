#include <antiphon/plugin/manifest.h>

#include "llama.h"

namespace antiphon::llama {

NameMap Llama::name_map() const {
  NameMap map;
  map.rules = {{"model.embed_tokens.weight", "embed_tokens"},
               {"lm_head.weight", "lm_head"},
               {"model.norm.{}", "norm.{}"},
               {"model.layers.{}.input_layernorm.{}", "layers.{}.input_norm.{}"},
               {"model.layers.{}.post_attention_layernorm.{}", "layers.{}.post_attention_norm.{}"},
               {"model.layers.{}.self_attn.{}", "layers.{}.self_attn.{}"},
               {"model.layers.{}.mlp.{}", "layers.{}.mlp.{}"}};
  map.ignored = {"model.layers.*.self_attn.rotary_emb.inv_freq"};
  if (decoder_.options().tie_embeddings) map.ignored.push_back("lm_head.weight");
  return map;
}

}  // namespace antiphon::llama

ANTIPHON_PLUGIN(llama, "0.1.0") {
  antiphon::register_language_model<antiphon::llama::Llama>(registrar, "llama", "Llama 2, 3.x and SmolLM decoders",
                                                            antiphon::llama::llama_table());
}
