// Mistral (Jiang et al. 2023; transformers: models/mistral): Llama with a sliding window, or without one; and Ministral
// 3 (models/ministral3), whose queries grow with their position.
#include <antiphon/backbone/decoder_lm.h>
#include <antiphon/component/language_model.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::mistral {

struct MistralOptions : backbone::DecoderLmOptions {
  int64_t sliding_window = 0;
  double query_temperature = 0;

  MistralOptions() { intermediate_size = 14336, num_kv_heads = 8, max_positions = 4096 * 32; }
  void read_pretrained(const PretrainedConfig& pretrained);
};

const config::Table<MistralOptions>& mistral_table() {
  using O = MistralOptions;
  static const auto* table = new config::Table<O>(
      backbone::decoder_lm_table<O>("mistral")
          .field("sliding_window", &O::sliding_window, "tokens that a layer sees, the query's own included; 0: all",
                 {.min = 0, .max = 1 << 30})
          .field("query_temperature", &O::query_temperature,
                 "Ministral 3: queries are multiplied by 1 + this * log(1 + position / rope_original_max_positions), "
                 "rounded down within",
                 {.min = 0, .max = 1e3}));
  return *table;
}

// Those of Ministral3Config. Without a rope table it has one.
JsonTable set_ministral_defaults(const JsonTable& config, MistralOptions& o) {
  o.vocab_size = 131072, o.num_layers = 34, o.head_size = 128, o.max_positions = 262144, o.norm_eps = 1e-5;
  if (backbone::rope_table(config).exists()) return config;
  return config.with("rope_parameters", {{"rope_type", "yarn"},
                                         {"rope_theta", 1e6},
                                         {"factor", 16.0},
                                         {"original_max_position_embeddings", 16384},
                                         {"mscale", 1.0},
                                         {"mscale_all_dim", 1.0},
                                         {"llama_4_scaling_beta", 0.1}});
}

void MistralOptions::read_pretrained(const PretrainedConfig& pretrained) {
  const bool grows = pretrained.config.text("model_type", "") == "ministral3";
  auto own = pretrained;
  if (grows) own.config = set_ministral_defaults(pretrained.config, *this);
  const auto& json = own.config;
  const auto is_null = [&](const char* key) { return json.json().contains(key) && !json.find(key); };
  sliding_window = grows || is_null("sliding_window") ? 0 : 4096;
  if (is_null("num_key_value_heads")) num_kv_heads = 0;
  static const auto* keys = new ForeignKeys{.options = {{"sliding_window", "sliding_window", 1}},
                                            .fixed = {{"partial_rotary_factor", {1}}},
                                            .other = {"is_composition"}};
  backbone::DecoderFamily family{
      .plugin = "mistral", .model_type = grows ? "ministral3" : "mistral", .hidden_act = "silu"};
  if (grows)
    family.rope = {.options = {{"llama_4_scaling_beta", "query_temperature"}}, .other = {"max_position_embeddings"}};
  backbone::read_decoder_config(own, family, *keys, mistral_table(), *this);
  check_fixed(backbone::rope_table(json), {"partial_rotary_factor", {1}});
}

nn::DecoderOptions decoder(const MistralOptions& options) {
  auto decoder = options.decoder();
  if (options.query_temperature != 0 && options.rope_type == "dynamic")
    fail(ErrorKind::config, "mistral: query_temperature beside rope_type = \"dynamic\", which no model has",
         "take another rope_type, or set query_temperature = 0");
  decoder.window = options.sliding_window;
  decoder.query_temperature = options.query_temperature;
  return decoder;
}

class Mistral : public backbone::DecoderLm {
 public:
  explicit Mistral(const MistralOptions& options) : DecoderLm(decoder(options)) {}
};

}  // namespace antiphon::mistral

ANTIPHON_PLUGIN(mistral, "0.1.0") {
  using namespace antiphon::mistral;
  antiphon::register_component<antiphon::LanguageModel, Mistral>(
      registrar, "mistral", "the decoders of Mistral and Ministral 3", mistral_table());
}
