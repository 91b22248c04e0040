#include <antiphon/backbone/native_vit_encoder.h>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <antiphon/base/error.h>

namespace antiphon::backbone {

nn::PackedVitOptions NativeVitOptions::vit() const {
  nn::PackedVitOptions vit;
  vit.hidden_size = hidden_size, vit.intermediate_size = intermediate_size;
  vit.num_layers = num_layers, vit.num_heads = num_heads;
  vit.patch_size = patch_size, vit.frames = temporal_patch_size;
  vit.activation = activation, vit.rope_theta = rope_theta;
  return vit;
}

const ForeignKeys& native_vit_keys() {
  static const auto* keys =
      new ForeignKeys(common_keys().with({.options = {{"depth", "num_layers"},
                                                      {"num_hidden_layers", "num_layers"},
                                                      {"num_heads", "num_heads"},
                                                      {"num_attention_heads", "num_heads"},
                                                      {"patch_size", "patch_size"},
                                                      {"temporal_patch_size", "temporal_patch_size"},
                                                      {"spatial_merge_size", "merge_size"},
                                                      {"hidden_act", "activation"}},
                                          .fixed = {{"in_channels", {3}}, {"in_chans", {3}}},
                                          .other = {"rope_parameters", "spatial_patch_size", "tie_word_embeddings"}}));
  return *keys;
}

void read_axial_rope(const JsonTable& config, const config::Schema& table, void* options) {
  const ForeignKeys keys{.options = {{"rope_theta", "rope_theta"}},
                         .fixed = {{"rope_type", {"axial"}}, {"partial_rotary_factor", {1}}}};
  const auto rope = config.table("rope_parameters");
  if (rope.exists()) foreign::read_keys(rope, keys, table, options);
}

NativeVitEncoder::NativeVitEncoder(const std::string& plugin, const NativeVitOptions& options,
                                   const nn::PackedVitOptions& vit, std::unique_ptr<const VideoRule> video)
    : plugin_(plugin), options_(options), video_(std::move(video)), vit_(vit, plugin) {
  media::check_native_image(options, options.multiple(), plugin);
  media::check_native_video(options, options.multiple(), plugin);
}

std::vector<at::Tensor> NativeVitEncoder::process(const MediaItem& item) const {
  if (item.modality == Modality::video)
    return media::native_video_parts(item.video, options_, options_.video_use(), plugin_);
  return {media::native_part(item, options_, options_.multiple(), plugin_)};
}

std::vector<int64_t> NativeVitEncoder::example_shape() const {
  const auto size = media::native_size({1, 1}, options_.multiple(), options_.min_pixels, options_.max_pixels);
  return {1, 3, size.height, size.width};
}

TokenGrid NativeVitEncoder::output_grid(at::IntArrayRef shape) const {
  const int64_t multiple = options_.multiple();
  if (shape.size() != 4 || (shape[0] != 1 && shape[0] != options_.temporal_patch_size) || shape[1] != 3 ||
      shape[2] <= 0 || shape[2] % multiple != 0 || shape[3] <= 0 || shape[3] % multiple != 0)
    fail(ErrorKind::data, fmt::format("{}: expected a part [1 or {}, 3, height, width] of multiples of {} pixels, got "
                                      "[{}]",
                                      plugin_, options_.temporal_patch_size, multiple, fmt::join(shape, ", ")));
  return {shape[2] / options_.patch_size, shape[3] / options_.patch_size};
}

at::Tensor NativeVitEncoder::forward(const at::Tensor& parts) {
  return vit_.forward(parts.unbind()).view({parts.size(0), -1, output_size()});
}

}  // namespace antiphon::backbone
