#include <antiphon/nn/decoder_lm.h>

#include <fmt/format.h>

namespace antiphon::nn {
namespace {

// Up to transformers 4 the keys are `rope_theta` and `rope_scaling`, from 5 on both are in `rope_parameters`.
void read_rope(const nlohmann::json& json, const std::string& plugin, DecoderLmOptions& o) {
  take(json, "rope_theta", o.rope_theta);
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const auto it = json.find(key);
    if (it == json.end() || it->is_null()) continue;
    take(*it, "rope_theta", o.rope_theta);
    take(*it, "type", o.rope_type);
    take(*it, "rope_type", o.rope_type);
    take(*it, "factor", o.rope_factor);
    take(*it, "low_freq_factor", o.rope_low_freq_factor);
    take(*it, "high_freq_factor", o.rope_high_freq_factor);
    take(*it, "original_max_position_embeddings", o.rope_original_max_positions);
  }
  if (o.rope_type == "default") o.rope_type = "none";
  if (o.rope_type != "none" && o.rope_type != "linear" && o.rope_type != "llama3")
    fail(ErrorKind::weights,
         fmt::format("config.json has rope scaling '{}'; the plugin {} has 'default', 'linear' and 'llama3'",
                     o.rope_type, plugin));
}

}  // namespace

void read_decoder_config(const PretrainedConfig& pretrained, const DecoderFamily& family, DecoderLmOptions& o) {
  const auto& json = pretrained.config;
  expect_model_type(pretrained, family.plugin, family.model_type);
  std::string activation = family.hidden_act;
  take(json, "hidden_act", activation);
  if (activation != family.hidden_act)
    fail(ErrorKind::weights, fmt::format("config.json has hidden_act '{}'; the plugin {} has '{}' only", activation,
                                         family.plugin, family.hidden_act));
  take(json, "vocab_size", o.vocab_size);
  take(json, "hidden_size", o.hidden_size);
  take(json, "intermediate_size", o.intermediate_size);
  take(json, "num_hidden_layers", o.num_layers);
  take(json, "num_attention_heads", o.num_heads);
  take(json, "num_key_value_heads", o.num_kv_heads);
  take(json, "head_dim", o.head_size);
  take(json, "max_position_embeddings", o.max_positions);
  take(json, family.norm_eps_key, o.norm_eps);
  take(json, "tie_word_embeddings", o.tie_embeddings);
  read_rope(json, family.plugin, o);
}

DecoderOptions DecoderLmOptions::decoder() const {
  DecoderOptions o;
  o.vocab_size = vocab_size, o.hidden_size = hidden_size, o.intermediate_size = intermediate_size;
  o.num_layers = num_layers, o.num_heads = num_heads;
  o.num_kv_heads = num_kv_heads ? num_kv_heads : num_heads;
  o.head_size = head_size ? head_size : hidden_size / num_heads;
  o.max_positions = max_positions, o.norm_eps = norm_eps, o.rope_theta = rope_theta;
  o.rope_scaling = {rope_type, rope_factor, rope_low_freq_factor, rope_high_freq_factor, rope_original_max_positions};
  o.tie_embeddings = tie_embeddings;
  if (num_heads % o.num_kv_heads != 0)
    fail(ErrorKind::config,
         fmt::format("num_heads = {} is not a multiple of num_kv_heads = {}", num_heads, o.num_kv_heads));
  return o;
}

NameMap DecoderLm::name_map() const {
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

}  // namespace antiphon::nn
