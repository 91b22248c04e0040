// The decoders of Qwen2-VL (Wang et al. 2024; transformers: models/qwen2_vl), Qwen2.5-VL (Bai et al. 2025;
// models/qwen2_5_vl) and Qwen2.5-Omni (Xu et al. 2025; models/qwen2_5_omni): Qwen2 whose heads turn by part, row and
// column.
#include <fmt/format.h>

#include <antiphon/backbone/grid_positions.h>
#include <antiphon/backbone/upper_window.h>
#include <antiphon/component/language_model.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

#include <numeric>

namespace antiphon::qwen2_vl_text {

constexpr int64_t kAxes = 3;

struct Qwen2VlTextOptions : backbone::UpperWindowOptions {
  std::vector<int64_t> mrope_section = {16, 24, 24};
  std::string after_medium = "largest";

  Qwen2VlTextOptions() {
    vocab_size = 152064, hidden_size = 8192, intermediate_size = 29568, num_layers = 80, num_heads = 64;
    num_kv_heads = 8, max_positions = 32768, norm_eps = 1e-5, rope_theta = 1e6;
  }
  void read_pretrained(const PretrainedConfig& pretrained);
};

const config::Table<Qwen2VlTextOptions>& qwen2_vl_text_table() {
  using O = Qwen2VlTextOptions;
  static const auto* table = new config::Table<O>(
      backbone::upper_window_table<O>("qwen2_vl_text")
          .field("mrope_section", &O::mrope_section,
                 "frequencies of a head that turn by part, row, column, part, …; together half of its width",
                 {.min = 1, .max = 1 << 15})
          .field("after_medium", &O::after_medium,
                 "where text goes on after a medium: largest = after its largest position, as transformers 4 has it; "
                 "grid = after its rows and columns, as transformers 5 has it for videos",
                 {.choices = {"largest", "grid"}}));
  return *table;
}

// Up to transformers 4 the rope table says that its type is "mrope", which is the default with sections.
JsonTable without_mrope_type(const JsonTable& json) {
  for (const char* key : {"rope_scaling", "rope_parameters"})
    for (const char* type : {"rope_type", "type"})
      if (json.table(key).text(type, "") == "mrope") {
        auto table = json.table(key).json();
        table.erase("type");
        table["rope_type"] = "default";
        return json.with(key, table);
      }
  return json;
}

void Qwen2VlTextOptions::read_pretrained(const PretrainedConfig& pretrained) {
  PretrainedConfig own = pretrained;
  own.config = without_mrope_type(pretrained.config);
  const auto& json = own.config;
  const auto type = json.text("model_type", "");
  if (type == "qwen2_5_omni_text") {
    hidden_size = 3584, intermediate_size = 18944, num_layers = 28, num_heads = 28, num_kv_heads = 4, norm_eps = 1e-6;
  }
  auto keys = backbone::window_keys(json, *this);
  if (sliding_window) max_window_layers = type == "qwen2_5_omni_text" ? 28 : 80;
  if (json.json().contains("num_key_value_heads")) num_kv_heads = 0;
  keys.other.insert(keys.other.end(), {"image_token_id", "video_token_id", "vision_token_id", "vision_start_token_id",
                                       "vision_end_token_id"});
  const backbone::DecoderFamily family{.plugin = "qwen2_vl_text",
                                       .model_type = type.starts_with("qwen2_5_") ? type : "qwen2_vl_text",
                                       .hidden_act = "silu",
                                       .rope = {.options = {{"mrope_section", "mrope_section"}}}};
  backbone::read_decoder_config(own, family, keys, qwen2_vl_text_table(), *this);
  check_fixed(backbone::rope_table(json), {"partial_rotary_factor", {1}});
  backbone::check_layer_types(json, *this);
}

nn::DecoderOptions decoder(const Qwen2VlTextOptions& options) {
  auto decoder = backbone::windowed_decoder(options);
  decoder.qkv_bias = true;
  const auto& sections = options.mrope_section;
  const auto sum = std::accumulate(sections.begin(), sections.end(), int64_t{0});
  if (sections.size() < kAxes || 2 * sum != decoder.head_size)
    fail(ErrorKind::config,
         fmt::format("qwen2_vl_text: mrope_section has {} sections, {} frequencies in all; a head of {} values has {}, "
                     "in three sections at least",
                     sections.size(), sum, decoder.head_size, decoder.head_size / 2),
         "set mrope_section to what the model was trained with");
  decoder.rope_axes = nn::axes_of_sections(sections, kAxes);
  return decoder;
}

class Qwen2VlText : public backbone::DecoderLm {
 public:
  explicit Qwen2VlText(const Qwen2VlTextOptions& options)
      : DecoderLm(decoder(options)),
        after_(options.after_medium == "grid" ? backbone::AfterMedium::grid : backbone::AfterMedium::largest) {}
  at::Tensor positions(const SampleLayout& layout) const override { return backbone::grid_positions(layout, after_); }

 private:
  backbone::AfterMedium after_;
};

}  // namespace antiphon::qwen2_vl_text

ANTIPHON_PLUGIN(qwen2_vl_text, "0.1.0") {
  using namespace antiphon::qwen2_vl_text;
  antiphon::register_component<antiphon::LanguageModel, Qwen2VlText>(
      registrar, "qwen2_vl_text", "the decoders of Qwen2-VL, Qwen2.5-VL and Qwen2.5-Omni", qwen2_vl_text_table());
}
