// Gemma 2 (Team et al. 2024; transformers: models/gemma2) and the text model of Gemma 3 (Team et al. 2025;
// models/gemma3): norms before and after each branch, windows in most layers, embeddings times the root of their width.
#include <fmt/format.h>

#include <antiphon/backbone/decoder_lm.h>
#include <antiphon/component/language_model.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

#include <cmath>

namespace antiphon::gemma {

constexpr const char* kActivation = "gelu_pytorch_tanh";
constexpr double kMostCap = 1e6;

struct GemmaOptions : backbone::DecoderLmOptions {
  bool attention_bias = false, qk_norm = true, media_see_all = true;
  int64_t sliding_window = 4096;
  std::vector<int64_t> full_attention_layers;
  double query_pre_attn_scalar = 256, window_rope_theta = 1e4;
  double attn_logit_softcapping = 0, final_logit_softcapping = 0;

  GemmaOptions() {
    vocab_size = 262208, hidden_size = 2304, intermediate_size = 9216, num_layers = 26, num_heads = 8;
    num_kv_heads = 4, head_size = 256, max_positions = 131072, rope_theta = 1e6, tie_embeddings = true;
  }
  void read_pretrained(const PretrainedConfig& pretrained);
};

const config::Table<GemmaOptions>& gemma_table() {
  using O = GemmaOptions;
  static const auto* table = new config::Table<O>(
      backbone::decoder_lm_table<O>("gemma")
          .field("attention_bias", &O::attention_bias, "biases in q, k, v and o projections")
          .field("qk_norm", &O::qk_norm, "heads of queries and keys are normalized (Gemma 3)")
          .field("sliding_window", &O::sliding_window, "tokens that a layer sees, the query's own included",
                 {.min = 1, .max = 1 << 30})
          .field("full_attention_layers", &O::full_attention_layers, "layers without the window, by number",
                 {.min = 0, .max = 1000})
          .field("window_rope_theta", &O::window_rope_theta,
                 "base of the rotary frequencies of layers with the window, which are not scaled; 0: as of the others",
                 {.min = 0, .max = 1e15})
          .field("query_pre_attn_scalar", &O::query_pre_attn_scalar, "scores are divided by its root",
                 {.min = 0, .max = 1e9, .above_min = true})
          .field("attn_logit_softcapping", &O::attn_logit_softcapping,
                 "scores s become c tanh(s / c) with this c; 0: they stay", {.min = 0, .max = kMostCap})
          .field("final_logit_softcapping", &O::final_logit_softcapping, "the same of the logits",
                 {.min = 0, .max = kMostCap})
          .field("media_see_all", &O::media_see_all,
                 "the embeddings of a medium, a picture or a sound, see each other, whatever their order (Gemma 3)"));
  return *table;
}

// transformers 5 has a rope table for each kind of layers; ours and that of transformers 4 is that of full layers.
JsonTable with_one_rope(const JsonTable& json) {
  const auto tables = json.table("rope_parameters"), full = tables.table("full_attention"),
             windowed = tables.table("sliding_attention");
  if (!full.exists() && !windowed.exists()) return json;
  check_keys(tables, {.other = {"full_attention", "sliding_attention"}});
  check_keys(windowed,
             {.fixed = {{"rope_type", {"default"}}, {"partial_rotary_factor", {1}}}, .other = {"rope_theta"}});
  auto out = json.with("rope_parameters", full.exists() ? full.json() : nlohmann::json::object());
  if (const auto* theta = windowed.find("rope_theta")) out = out.with("rope_local_base_freq", *theta);
  return out;
}

std::vector<int64_t> full_layers(const JsonTable& json, int64_t layers, int64_t period) {
  std::vector<int64_t> full;
  if (const auto* types = json.find("layer_types")) {
    if (!types->is_array() || static_cast<int64_t>(types->size()) != layers)
      json.refuse("layer_types", fmt::format("the kind of each of {} layers", layers));
    for (int64_t layer = 0; layer < layers; ++layer) {
      const auto& type = (*types)[static_cast<size_t>(layer)];
      if (type != "full_attention" && type != "sliding_attention")
        json.refuse("layer_types", "\"full_attention\" or \"sliding_attention\" for each layer");
      if (type == "full_attention") full.push_back(layer);
    }
    return full;
  }
  period = json.integer("_sliding_window_pattern", period, 1, 1 << 16);
  period = json.integer("sliding_window_pattern", period, 1, 1 << 16);
  for (int64_t layer = period - 1; layer < layers; layer += period) full.push_back(layer);
  return full;
}

// A key that is null means something else than one that is absent.
bool is_null(const JsonTable& json, const char* key) { return json.json().contains(key) && !json.find(key); }

void set_defaults_of_gemma2(GemmaOptions& o) {
  o.vocab_size = 256000, o.max_positions = 8192, o.rope_theta = 1e4, o.window_rope_theta = 0;
  o.qk_norm = o.media_see_all = false;
  o.attn_logit_softcapping = 50, o.final_logit_softcapping = 30;
}

void GemmaOptions::read_pretrained(const PretrainedConfig& pretrained) {
  const bool second = pretrained.config.text("model_type", "") == "gemma2";
  if (second) set_defaults_of_gemma2(*this);
  PretrainedConfig own = pretrained;
  own.config = with_one_rope(pretrained.config);
  const auto& json = own.config;
  if (is_null(json, "sliding_window")) json.refuse("sliding_window", "a number of tokens");
  ForeignKeys keys{
      .options = {{"attention_bias", "attention_bias"},
                  {"sliding_window", "sliding_window", 1},
                  {"query_pre_attn_scalar", "query_pre_attn_scalar"},
                  {"final_logit_softcapping", "final_logit_softcapping", 1e-6}},
      .fixed = {{"hidden_activation", {kActivation}},
                {"use_bidirectional_attention", {false}},
                {"partial_rotary_factor", {1}}},
      .other = {"layer_types", "sliding_window_pattern", "_sliding_window_pattern", "cache_implementation"}};
  if (second)
    keys.options.push_back({"attn_logit_softcapping", "attn_logit_softcapping", 1e-6});
  else  // transformers passes over the cap of scores
    keys = keys.with(
        {.options = {{"rope_local_base_freq", "window_rope_theta", 1e-6}}, .fixed = {{"attn_logit_softcapping", {}}}});
  backbone::read_decoder_config(
      own, {.plugin = "gemma", .model_type = second ? "gemma2" : "gemma3_text", .hidden_act = kActivation}, keys,
      gemma_table(), *this);
  check_fixed(backbone::rope_table(json), {"partial_rotary_factor", {1}});
  if (second && is_null(json, "attn_logit_softcapping")) attn_logit_softcapping = 0;
  if (is_null(json, "final_logit_softcapping")) final_logit_softcapping = 0;
  full_attention_layers = full_layers(json, num_layers, second ? 2 : 6);
}

nn::DecoderOptions decoder(const GemmaOptions& o) {
  auto decoder = o.decoder();
  decoder.norm = nn::NormKind::rms_plus_one, decoder.branch_norms = true;
  decoder.activation = kActivation;
  decoder.qkv_bias = decoder.output_bias = o.attention_bias, decoder.qk_norm = o.qk_norm;
  decoder.score_scale = 1 / std::sqrt(o.query_pre_attn_scalar), decoder.score_cap = o.attn_logit_softcapping;
  decoder.embed_multiplier = std::sqrt(static_cast<double>(o.hidden_size));
  decoder.logits.cap = o.final_logit_softcapping;
  decoder.window = o.sliding_window, decoder.full_layers = o.full_attention_layers;
  decoder.window_rope_theta = o.window_rope_theta, decoder.media_see_all = o.media_see_all;
  for (const auto layer : o.full_attention_layers)
    if (layer >= o.num_layers)
      fail(ErrorKind::config,
           fmt::format("gemma: full_attention_layers names layer {}; there are {}, from 0 on", layer, o.num_layers));
  return decoder;
}

class Gemma : public backbone::DecoderLm {
 public:
  explicit Gemma(const GemmaOptions& options) : DecoderLm(decoder(options)) {}

  // Llama's name of the norm before the MLP is that of the norm after attention here.
  NameMap name_map() const override {
    auto map = DecoderLm::name_map();
    map.rules.insert(map.rules.begin(),
                     {{"model.layers.{}.post_attention_layernorm.{}", "layers.{}.attention_output_norm.{}"},
                      {"model.layers.{}.pre_feedforward_layernorm.{}", "layers.{}.post_attention_norm.{}"},
                      {"model.layers.{}.post_feedforward_layernorm.{}", "layers.{}.mlp_output_norm.{}"}});
    return map;
  }
};

}  // namespace antiphon::gemma

ANTIPHON_PLUGIN(gemma, "0.1.0") {
  using namespace antiphon::gemma;
  antiphon::register_component<antiphon::LanguageModel, Gemma>(registrar, "gemma", "Gemma 2 and Gemma 3 decoders",
                                                               gemma_table());
}
