#include <antiphon/backbone/vit_pretrained.h>

#include <antiphon/base/log.h>
#include <antiphon/component/pretrained.h>

#include <fmt/format.h>

namespace antiphon::backbone {
namespace {

bool differ(const JsonTable& table, const JsonTable& other) {
  for (const auto& [key, value] : table.json().items())
    if (const auto* there = other.find(key); there && *there != value) return true;
  return false;
}

}  // namespace

JsonTable with_config_dicts(const JsonTable& config) {
  auto out = config;
  for (const std::string half : {"text_config", "vision_config"}) {
    const auto counts = config.table(half + "_dict"), other = config.table(half);
    if (!counts.exists()) continue;
    if (differ(counts, other))
      log::warning(fmt::format("{} differs from {}, and counts", config.place(half + "_dict"), half));
    out = out.with(half, counts.with("model_type", other.text("model_type", "")).json());
  }
  return out;
}

const ForeignKeys& vit_keys() {
  static const auto* keys = new ForeignKeys(
      common_keys().with({.options = {{"hidden_size", "hidden_size"},
                                      {"num_hidden_layers", "num_layers"},
                                      {"num_attention_heads", "num_heads"},
                                      {"image_size", "image_size"},
                                      {"patch_size", "patch_size"},
                                      {"layer_norm_eps", "layer_norm_eps"},
                                      {"hidden_act", "activation"}},
                          .fixed = {{"num_channels", {3}}},
                          .training = {"attention_dropout", "dropout", "hidden_dropout"},
                          .other = {"projection_dim", "projection_size", "vision_use_head", "tie_word_embeddings"}}));
  return *keys;
}

JsonTable half_config(const PretrainedConfig& pretrained, const std::string& plugin, const std::string& family,
                      const std::string& half) {
  const auto own = pretrained.config.table(half + "_config");
  expect_model_type(pretrained, plugin, own.exists() ? family : family + "_" + half + "_model");
  return own.exists() ? own : pretrained.config;
}

std::vector<NameRule> encoder_layer_names() {
  return {{"encoder.layers.{}.layer_norm{}", "layers.{}.norm{}"},
          {"encoder.layers.{}.self_attn.out_proj.{}", "layers.{}.self_attn.o_proj.{}"},
          {"encoder.layers.{}.self_attn.{}", "layers.{}.self_attn.{}"},
          {"encoder.layers.{}.mlp.{}", "layers.{}.mlp.{}"}};
}

NameMap clip_names(const nn::Vit& vit, const std::vector<NameRule>& own, const std::vector<std::string>& ignored) {
  auto rules = encoder_layer_names();
  rules.push_back({"embeddings.patch_embedding.{}", "patch_projection.{}"});
  rules.push_back({"embeddings.position_embedding.weight", "position_embeddings"});
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

}  // namespace antiphon::backbone
