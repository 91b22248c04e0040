// The decoder of Qwen3-VL (Bai et al. 2025; transformers: models/qwen3_vl): Qwen3 whose heads turn by part, row and
// column, frequency by frequency, and which takes vectors of the tower after its first layers.
#include <fmt/format.h>

#include <antiphon/backbone/decoder_lm.h>
#include <antiphon/backbone/grid_positions.h>
#include <antiphon/component/language_model.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

#include <numeric>

namespace antiphon::qwen3_vl_text {

constexpr size_t kAxes = 3;

struct Qwen3VlTextOptions : backbone::DecoderLmOptions {
  bool attention_bias = false;
  std::vector<int64_t> mrope_section = {24, 20, 20};

  Qwen3VlTextOptions() {
    vocab_size = 151936, intermediate_size = 22016, head_size = 128, max_positions = 128000, rope_theta = 5e5;
  }
  void read_pretrained(const PretrainedConfig& pretrained);
};

const config::Table<Qwen3VlTextOptions>& qwen3_vl_text_table() {
  using O = Qwen3VlTextOptions;
  static const auto* table = new config::Table<O>(
      backbone::decoder_lm_table<O>("qwen3_vl_text")
          .field("attention_bias", &O::attention_bias, "biases in q, k, v and o projections")
          .field("mrope_section", &O::mrope_section,
                 "frequencies of a head that turn by part, row and column, in turn; together half of its width",
                 {.min = 1, .max = 1 << 15}));
  return *table;
}

void Qwen3VlTextOptions::read_pretrained(const PretrainedConfig& pretrained) {
  const auto& json = pretrained.config;
  if (!json.json().contains("num_key_value_heads")) num_kv_heads = 32;
  const backbone::DecoderFamily family{
      .plugin = "qwen3_vl_text",
      .model_type = "qwen3_vl_text",
      .hidden_act = "silu",
      .rope = {.options = {{"mrope_section", "mrope_section"}}, .fixed = {{"mrope_interleaved", {true}}}}};
  backbone::read_decoder_config(pretrained, family, {.options = {{"attention_bias", "attention_bias"}}},
                                qwen3_vl_text_table(), *this);
  check_fixed(backbone::rope_table(json), {"partial_rotary_factor", {1}});
}

nn::DecoderOptions decoder(const Qwen3VlTextOptions& options) {
  auto decoder = options.decoder();
  decoder.qkv_bias = decoder.output_bias = options.attention_bias;
  decoder.qk_norm = true;
  const auto& sections = options.mrope_section;
  const auto sum = std::accumulate(sections.begin(), sections.end(), int64_t{0});
  if (sections.size() != kAxes || 2 * sum != decoder.head_size)
    fail(ErrorKind::config,
         fmt::format("qwen3_vl_text: mrope_section has {} sections, {} frequencies in all; a head of {} values has {}, "
                     "in three sections",
                     sections.size(), sum, decoder.head_size, decoder.head_size / 2),
         "set mrope_section to what the model was trained with");
  decoder.rope_axes = nn::axes_in_turn(sections);
  return decoder;
}

class Qwen3VlText : public backbone::DecoderLm {
 public:
  explicit Qwen3VlText(const Qwen3VlTextOptions& options) : DecoderLm(decoder(options)) {}
  at::Tensor positions(const SampleLayout& layout) const override {
    return backbone::grid_positions(layout, backbone::AfterMedium::largest);
  }
};

}  // namespace antiphon::qwen3_vl_text

ANTIPHON_PLUGIN(qwen3_vl_text, "0.1.0") {
  using namespace antiphon::qwen3_vl_text;
  antiphon::register_component<antiphon::LanguageModel, Qwen3VlText>(registrar, "qwen3_vl_text",
                                                                     "the decoder of Qwen3-VL", qwen3_vl_text_table());
}
