#include <fmt/format.h>

#include "llama.h"

namespace antiphon::llama {
namespace {

// Up to transformers 4 the keys are `rope_theta` and `rope_scaling`, from 5 on both are in `rope_parameters`.
void read_rope(const nlohmann::json& json, LlamaOptions& o) {
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
         fmt::format("config.json has rope scaling '{}'; the plugin llama has 'default', 'linear' and 'llama3'",
                     o.rope_type));
}

}  // namespace

void LlamaOptions::read_pretrained(const PretrainedConfig& pretrained) {
  const auto& json = pretrained.config;
  expect_model_type(pretrained, "llama", "llama");
  std::string activation = "silu";
  take(json, "hidden_act", activation);
  if (activation != "silu")
    fail(ErrorKind::weights,
         fmt::format("config.json has hidden_act '{}'; the plugin llama has 'silu' only", activation));
  take(json, "vocab_size", vocab_size);
  take(json, "hidden_size", hidden_size);
  take(json, "intermediate_size", intermediate_size);
  take(json, "num_hidden_layers", num_layers);
  take(json, "num_attention_heads", num_heads);
  take(json, "num_key_value_heads", num_kv_heads);
  take(json, "head_dim", head_size);
  take(json, "max_position_embeddings", max_positions);
  take(json, "rms_norm_eps", norm_eps);
  take(json, "attention_bias", attention_bias);
  take(json, "mlp_bias", mlp_bias);
  take(json, "tie_word_embeddings", tie_embeddings);
  read_rope(json, *this);
}

nn::DecoderOptions LlamaOptions::decoder() const {
  nn::DecoderOptions o;
  o.vocab_size = vocab_size, o.hidden_size = hidden_size, o.intermediate_size = intermediate_size;
  o.num_layers = num_layers, o.num_heads = num_heads;
  o.num_kv_heads = num_kv_heads ? num_kv_heads : num_heads;
  o.head_size = head_size ? head_size : hidden_size / num_heads;
  o.max_positions = max_positions, o.norm_eps = norm_eps, o.rope_theta = rope_theta;
  o.rope_scaling = {rope_type, rope_factor, rope_low_freq_factor, rope_high_freq_factor, rope_original_max_positions};
  o.qkv_bias = o.output_bias = attention_bias, o.mlp_bias = mlp_bias, o.tie_embeddings = tie_embeddings;
  if (num_heads % o.num_kv_heads != 0)
    fail(ErrorKind::config,
         fmt::format("num_heads = {} is not a multiple of num_kv_heads = {}", num_heads, o.num_kv_heads));
  return o;
}

const config::Table<LlamaOptions>& llama_table() {
  using O = LlamaOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("llama")
          .field("vocab_size", &O::vocab_size, "rows of the embedding", {.min = 1})
          .field("hidden_size", &O::hidden_size, "width of the residual stream", {.min = 1})
          .field("intermediate_size", &O::intermediate_size, "width of the gated MLP", {.min = 1})
          .field("num_layers", &O::num_layers, "blocks", {.min = 1, .max = 1000})
          .field("num_heads", &O::num_heads, "query heads", {.min = 1})
          .field("num_kv_heads", &O::num_kv_heads, "key and value heads (GQA); 0: as many as query heads", {.min = 0})
          .field("head_size", &O::head_size, "width of a head; 0: hidden_size / num_heads", {.min = 0})
          .field("max_positions", &O::max_positions, "longest sequence", {.min = 1})
          .field("norm_eps", &O::norm_eps, "epsilon of the RMS norms", {.min = 0})
          .field("rope_theta", &O::rope_theta, "base of the rotary frequencies", {.min = 0, .above_min = true})
          .field("rope_type", &O::rope_type, "frequency scaling", {.choices = {"none", "linear", "llama3"}})
          .field("rope_factor", &O::rope_factor, "scaling factor", {.min = 0, .above_min = true})
          .field("rope_low_freq_factor", &O::rope_low_freq_factor, "llama3: see Llama 3.1",
                 {.min = 0, .above_min = true})
          .field("rope_high_freq_factor", &O::rope_high_freq_factor, "llama3: see Llama 3.1",
                 {.min = 0, .above_min = true})
          .field("rope_original_max_positions", &O::rope_original_max_positions, "llama3: context of pre-training",
                 {.min = 1})
          .field("attention_bias", &O::attention_bias, "biases in q, k, v and o projections")
          .field("mlp_bias", &O::mlp_bias, "biases in the MLP")
          .field("tie_embeddings", &O::tie_embeddings, "the head is the embedding"));
  return *table;
}

}  // namespace antiphon::llama
