#include <antiphon/backbone/decoder_lm.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace antiphon::backbone {
namespace {

constexpr int64_t kMostHeads = 1 << 20, kMostCached = 1 << 24;  // values per token: of all heads; in the cache
constexpr int64_t kMostPositions = 1 << 30;

// All keys of a rope table of a supported kind.
void check_rope_table(const JsonTable& rope, const std::string& plugin) {
  const auto type = rope.text("rope_type", rope.text("type", "default"));
  const auto needed = [&](std::initializer_list<const char*> keys) {
    for (const char* key : keys)
      if (!rope.find(key)) rope.refuse(key, "a number for the scaling '" + type + "'");
  };
  if (type == "yarn") return;
  if (type == "linear" || type == "dynamic") return needed({"factor"});
  if (type == "llama3") return needed({"factor", "low_freq_factor", "high_freq_factor"});
  if (type != "default")
    rope.refuse(rope.find("rope_type") ? "rope_type" : "type",
                "'default', 'linear', 'llama3', 'yarn' or 'dynamic', which the plugin " + plugin + " has");
}

const ForeignKeys& rope_keys() {
  static const auto* keys =
      new ForeignKeys{.options = {{"rope_theta", "rope_theta"},
                                  {"factor", "rope_factor"},
                                  {"low_freq_factor", "rope_low_freq_factor"},
                                  {"high_freq_factor", "rope_high_freq_factor"},
                                  {"original_max_position_embeddings", "rope_original_max_positions"},
                                  {"attention_factor", "rope_attention_factor"},
                                  {"beta_fast", "rope_beta_fast"},
                                  {"beta_slow", "rope_beta_slow"},
                                  {"mscale", "rope_mscale"},
                                  {"mscale_all_dim", "rope_mscale_all_dim"},
                                  {"truncate", "rope_truncate"}},
                      .other = {"type", "rope_type", "partial_rotary_factor"}};
  return *keys;
}

}  // namespace

ForeignKeys decoder_keys(const DecoderFamily& family) {
  return common_keys().with({.options = {{"vocab_size", "vocab_size"},
                                         {"hidden_size", "hidden_size"},
                                         {"intermediate_size", "intermediate_size"},
                                         {"num_hidden_layers", "num_layers"},
                                         {"num_attention_heads", "num_heads"},
                                         {"num_key_value_heads", "num_kv_heads", 1},
                                         {"head_dim", "head_size", 1},
                                         {"max_position_embeddings", "max_positions"},
                                         {family.norm_eps_key, "norm_eps"},
                                         {"tie_word_embeddings", "tie_embeddings"},
                                         {"rope_theta", "rope_theta"},
                                         {"original_max_position_embeddings", "rope_original_max_positions"}},
                             .fixed = {{"hidden_act", {family.hidden_act}}, {"rope_interleaved", {false}}},
                             .training = {"attention_dropout", "hidden_dropout"},
                             .other = {"rope_scaling", "rope_parameters", "is_llama_config"}});
}

JsonTable rope_table(const JsonTable& config) {
  const auto scaling = config.table("rope_scaling");
  return scaling.empty() ? config.table("rope_parameters") : scaling;
}

// Up to transformers 4 the keys are `rope_theta` and `rope_scaling`, from 5 on both are in `rope_parameters`. The
// context of pre-training beside the table goes before that within it; YaRN without a factor stretches it to the
// longest text. What transformers stretches with the text counts from max_position_embeddings alone, and then texts may
// be longer by the factor.
void read_rope(const JsonTable& config, const DecoderFamily& family, const config::Schema& table, DecoderLmOptions& o,
               void* options) {
  const auto rope = rope_table(config);
  check_rope_table(rope, family.plugin);
  o.rope_type = rope.text("rope_type", rope.text("type", "default"));
  if (o.rope_type == "default") o.rope_type = "none";
  if ((o.rope_type == "llama3" || o.rope_type == "yarn") && !config.find("original_max_position_embeddings"))
    o.rope_original_max_positions = o.max_positions;
  foreign::read_keys(rope, rope_keys().with(family.rope), table, options);
  foreign::read_options(config, {{"original_max_position_embeddings", "rope_original_max_positions"}}, table, options);
  if (o.rope_type == "yarn" && !rope.find("factor"))
    o.rope_factor = static_cast<double>(o.max_positions) / static_cast<double>(o.rope_original_max_positions);
  if (o.rope_type != "dynamic") return;
  o.rope_original_max_positions = o.max_positions;
  const double longest = static_cast<double>(o.max_positions) * std::max(o.rope_factor, 1.0);
  o.max_positions = static_cast<int64_t>(std::min(longest, static_cast<double>(kMostPositions)));
}

namespace {

// What YaRN multiplies cos and sin by: the square root of what it divides the logits' temperature by.
double yarn_multiplier(const DecoderLmOptions& o) {
  const auto of = [&](double mscale) { return o.rope_factor <= 1 ? 1 : 0.1 * mscale * std::log(o.rope_factor) + 1; };
  if (o.rope_attention_factor > 0) return o.rope_attention_factor;
  return o.rope_mscale > 0 && o.rope_mscale_all_dim > 0 ? of(o.rope_mscale) / of(o.rope_mscale_all_dim) : of(1);
}

}  // namespace

nn::DecoderOptions DecoderLmOptions::decoder() const {
  nn::DecoderOptions o;
  o.vocab_size = vocab_size, o.hidden_size = hidden_size, o.intermediate_size = intermediate_size;
  o.num_layers = num_layers, o.num_heads = num_heads;
  o.num_kv_heads = num_kv_heads ? num_kv_heads : num_heads;
  o.head_size = head_size ? head_size : hidden_size / num_heads;
  if (o.head_size < 2 || o.head_size % 2 != 0)
    fail(ErrorKind::config,
         fmt::format("heads of {} values (hidden_size = {}, num_heads = {}) cannot be turned", o.head_size, hidden_size,
                     num_heads),
         "an even width is needed");
  o.max_positions = max_positions, o.norm_eps = norm_eps, o.rope_theta = rope_theta;
  o.rope_scaling = {rope_type, rope_factor, rope_low_freq_factor, rope_high_freq_factor, rope_original_max_positions};
  if (rope_type == "yarn") {
    o.rope_scaling.table_multiplier = yarn_multiplier(*this), o.rope_scaling.truncate = rope_truncate;
    o.rope_scaling.beta_fast = rope_beta_fast, o.rope_scaling.beta_slow = rope_beta_slow;
    if (rope_theta == 1)
      fail(ErrorKind::config, "rope_type = \"yarn\" with rope_theta = 1: all frequencies are one", "set rope_theta");
  }
  o.tie_embeddings = tie_embeddings;
  const double cached = static_cast<double>(num_layers) * static_cast<double>(o.num_kv_heads * o.head_size);
  if (num_heads * o.head_size > kMostHeads || cached > kMostCached)
    fail(ErrorKind::config,
         fmt::format("num_heads = {}, num_kv_heads = {} and head_size = {} in {} layers are too much", num_heads,
                     o.num_kv_heads, o.head_size, num_layers),
         fmt::format("num_heads * head_size is at most {}, num_layers * num_kv_heads * head_size {}", kMostHeads,
                     kMostCached));
  if (num_heads % o.num_kv_heads != 0)
    fail(ErrorKind::config,
         fmt::format("num_heads = {} is not a multiple of num_kv_heads = {}", num_heads, o.num_kv_heads));
  return o;
}

std::optional<int64_t> DecoderLm::longest_short() const {
  const auto& scaling = decoder_.options().rope_scaling;
  if (scaling.type != "longrope" && scaling.type != "dynamic") return std::nullopt;
  return scaling.original_max_positions;
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
  map.ignored = {"model.layers.*.self_attn.rotary_emb.inv_freq", "score.weight"};  // the latter: of a reward model
  if (decoder_.options().tie_embeddings) map.ignored.push_back("lm_head.weight");
  return map;
}

}  // namespace antiphon::backbone
