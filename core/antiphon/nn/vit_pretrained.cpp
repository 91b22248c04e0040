#include <antiphon/nn/vit_pretrained.h>

#include <antiphon/component/pretrained.h>

namespace antiphon::nn {

void read_vit_config(const nlohmann::json& json, VitOptions& options) {
  take(json, "hidden_size", options.hidden_size);
  take(json, "intermediate_size", options.intermediate_size);
  take(json, "num_hidden_layers", options.num_layers);
  take(json, "num_attention_heads", options.num_heads);
  take(json, "image_size", options.image_size);
  take(json, "patch_size", options.patch_size);
  take(json, "layer_norm_eps", options.layer_norm_eps);
  take(json, "hidden_act", options.activation);
}

const nlohmann::json& vision_config(const PretrainedConfig& pretrained, const std::string& family) {
  const auto half = pretrained.config.find("vision_config");
  const bool whole = half != pretrained.config.end();
  expect_model_type(pretrained, family, whole ? family : family + "_vision_model");
  return whole ? *half : pretrained.config;
}

NameMap clip_names(const Vit& vit, const std::vector<NameRule>& own, const std::vector<std::string>& ignored) {
  std::vector<NameRule> rules{{"embeddings.patch_embedding.{}", "patch_projection.{}"},
                              {"embeddings.position_embedding.weight", "position_embeddings"},
                              {"encoder.layers.{}.layer_norm{}", "layers.{}.norm{}"},
                              {"encoder.layers.{}.self_attn.out_proj.{}", "layers.{}.self_attn.o_proj.{}"},
                              {"encoder.layers.{}.self_attn.{}", "layers.{}.self_attn.{}"},
                              {"encoder.layers.{}.mlp.{}", "layers.{}.mlp.{}"}};
  rules.insert(rules.end(), own.begin(), own.end());
  auto unused = vit.unused("encoder.layers.{}.*", "post_layernorm.*");
  unused.push_back("embeddings.position_ids");
  NameMap map;
  map.ignored = ignored;
  for (const std::string prefix : {"", "vision_model."}) {  // of transformers 5, of 4
    for (const auto& rule : rules) map.rules.push_back({prefix + rule.checkpoint, rule.parameter});
    for (const auto& name : unused) map.ignored.push_back(prefix + name);
  }
  return map;
}

}  // namespace antiphon::nn
