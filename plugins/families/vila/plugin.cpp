// VILA 1.5 and NVILA (Lin et al. 2023, Liu et al. 2024) as compositions: SigLIP, whose pictures may be cut into tiles
// or seen at several scales, squares of whose vectors are joined, and Qwen2 or Llama. A directory holds the folders
// llm, vision_tower and mm_projector, each a model's own (NVlabs/VILA: llava/model/llava_arch.py,
// configuration_llava.py, multimodal_projector/base_projector.py, encoders/image/basic.py).
#include <antiphon/component/family_parts.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

namespace antiphon::vila {
namespace {

using config::Value;
using nlohmann::json;

constexpr const char *kText = "llm_cfg", *kTower = "vision_tower_cfg", *kProjector = "mm_projector_cfg";

// Of the whole and its training, of its pictures and videos, and of pictures at sizes that are not made.
const ForeignKeys& whole_keys() {
  static const auto* keys = new ForeignKeys(
      common_keys()
          .with({.fixed =
                     {{"image_aspect_ratio", {"resize", "dynamic", "dynamic_s2"}},
                      {"s2", {false}, "of pictures at several scales only those of dynamic_s2 are made"},
                      {"ps3", {false}},
                      {"mm_use_im_start_end", {false}},
                      {"mm_use_im_patch_token", {false}},
                      {"mm_vision_select_feature", {"cls_patch"}, "\"patch\" would drop the first patch of a SigLIP"}},
                 .other = {"llm_cfg", "vision_tower_cfg", "mm_projector_cfg", "resume_path", "hidden_size",
                           "mm_projector_lr", "vision_tower_lr", "model_dtype", "model_name_or_path",
                           "tune_language_model", "tune_vision_tower", "tune_mm_projector", "mm_projector",
                           "vision_tower", "chat_template", "drop_path_rate", "tie_word_embeddings"}})
          .with({.other = {"s2_scales", "dynamic_s2", "min_tiles", "max_tiles", "fps", "num_video_frames",
                           "soft_ce_std", "auto_map", "image_encoder", "video_encoder", "mm_hidden_size",
                           "mm_scale_num", "num_look_close"}})
          .with({.other = {"s2_max_split_size", "s2_resize_output_to_scale_idx", "video_max_tiles", "look_close_mode",
                           "num_token_look_close", "top_down_prompt_head_type", "high_res_pos_embed",
                           "ps3_dynamic_aspect_ratio", "mm_low_res_token_num", "vision_resolution", "interpolate_mode",
                           "num_time_tokens", "time_token_format", "mm_vision_select_layer"}}));
  return *keys;
}

Value::Array scales_of(const JsonTable& config) {
  Value::Array scales;
  for (const auto edge : config.listed("s2_scales")) scales.emplace_back(edge);
  const auto last = static_cast<int64_t>(scales.size()) - 1;
  if (last < 1) config.refuse("s2_scales", "several numbers of pixels with commas between them");
  if (const auto place = config.integer("s2_resize_output_to_scale_idx", 0, -1, 64); place != -1 && place != last)
    config.refuse("s2_resize_output_to_scale_idx", "-1, the last scale");
  return scales;
}

int64_t factor_of(const JsonTable& config) {
  const auto projector = config.table(kProjector);
  if (!projector.exists()) config.refuse(kProjector, "a table");
  check_fixed(projector, {"mm_projector_type", {"mlp_downsample", "mlp_downsample_2x2_fix", "mlp_downsample_3x3_fix"}});
  const auto type = projector.text("mm_projector_type", "");
  if (type.empty()) projector.refuse("mm_projector_type", "one of the mlp_downsample");
  return type == "mlp_downsample_3x3_fix" ? 3 : 2;
}

// What stands after the embeddings of a picture or a tile, embedded by itself: a JSON text or a table, without which it
// is a line break.
std::string end_of(const JsonTable& config) {
  const auto* written = config.find("image_encoder");
  if (!written) return "\n";
  const auto parsed = written->is_string() ? json::parse(written->get<std::string>(), nullptr, false) : *written;
  if (!parsed.is_object()) config.refuse("image_encoder", "a table, or one as a JSON text");
  const JsonTable encoder(parsed, config.file(), "image_encoder");
  check_fixed(encoder, {"_target_", {"llava.model.encoders.BasicImageEncoder"}});
  check_fixed(encoder, {"start_tokens", {}});
  return parsed.contains("end_tokens") ? encoder.text("end_tokens", "") : "\n";
}

// Tiles end with a line break of the text each, the last one's next to what is asked.
void cut(const JsonTable& config, Value::Table& encoder, Value::Table& stream) {
  const auto shape = config.text("image_aspect_ratio", "resize");
  if (shape == "resize") return;
  encoder.emplace("fit", "stretch");
  encoder.emplace("max_tiles", config.integer("max_tiles", 12, 1, 1024));
  if (shape == "dynamic_s2") {
    encoder.emplace("s2_scales", scales_of(config));
    return;
  }
  encoder.emplace("min_tiles", config.integer("min_tiles", 1, 1, 1024));
  stream.emplace("part_break", "\n");
  stream.emplace("end", "\n");
}

// Squares are joined within each square of a scale, which is the same over all of them only if they fill it.
void check_squares(const JsonTable& config, int64_t factor) {
  if (config.text("image_aspect_ratio", "") != "dynamic_s2") return;
  const auto side = patches_on_edge(config.table(kTower));
  if (side % factor != 0)
    config.refuse("image_aspect_ratio", "\"resize\" or \"dynamic\": " + std::to_string(side) +
                                            " patches on an edge are not a multiple of " + std::to_string(factor));
}

// Keys that VILA's own code does not take as they would be here if they are absent, or say two things.
void check_said(const JsonTable& config) {
  if (!config.find("mm_vision_select_feature"))
    config.refuse("mm_vision_select_feature", "\"cls_patch\": without it VILA's own code reads no picture");
  const bool cut = config.text("image_aspect_ratio", "") == "dynamic_s2";
  if (config.flag("dynamic_s2", false) != cut)
    config.refuse("dynamic_s2", cut ? "true: pictures are cut for scales (image_aspect_ratio), which it has joined"
                                    : "false: scales would be joined for which no picture is cut (image_aspect_ratio)");
}

class Vila : public ModelFamily {
 public:
  // Names as a model in memory has them: on disk each part lies in a folder of its own.
  std::vector<WholePart> parts() const override {
    return {{"llm", "llm", kText, {{"llm.{}", "{}"}}},
            {"vision_tower", "streams.image.encoder", kTower, {{"vision_tower.vision_tower.{}", "{}"}}},
            {"mm_projector", "streams.image.connector", "", {{"mm_projector.{}", "{}"}}}};
  }
  Value compose(const PretrainedConfig& pretrained, const std::string& directory) const override;
  void describe(const Value& model, json& config) const override {
    write_feature_layer(model, "mm_vision_select_layer", config);
  }
};

Value Vila::compose(const PretrainedConfig& pretrained, const std::string& directory) const {
  const auto& config = pretrained.config;
  check_keys(config, whole_keys());
  check_said(config);
  check_fixed(config.table(kTower), {"model_type", {"siglip_vision_model"}});
  const auto slot = [&](const std::string& plugin, const char* folder) {
    return Value::Table{{"plugin", plugin}, {"weights", directory + "/" + folder}};
  };
  auto llm = slot(plugin_reading("language_model", config, kText), "llm");
  auto encoder = slot(plugin_reading("encoder", config, kTower), "vision_tower");
  encoder.emplace("layer", feature_layer_without_norm(config, "mm_vision_select_layer", kTower, 12));
  auto connector = slot("downsample_mlp", "mm_projector");
  const int64_t factor = factor_of(config);
  check_squares(config, factor);
  connector.emplace("factor", factor);
  Value::Table stream;
  cut(config, encoder, stream);
  if (const auto end = end_of(config); !end.empty()) stream.emplace("part_end", end);
  stream.emplace("encoder", std::move(encoder));
  stream.emplace("connector", std::move(connector));
  return picture_model(std::move(llm), std::move(stream));
}

}  // namespace
}  // namespace antiphon::vila

ANTIPHON_PLUGIN(vila, "0.1.0") {
  using namespace antiphon::vila;
  antiphon::register_component<antiphon::ModelFamily, Vila>(registrar, "llava_llama", "VILA and NVILA directories");
}
