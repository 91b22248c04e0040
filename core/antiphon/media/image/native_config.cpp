// preprocessor_config.json -> NativeImage.
#include <fmt/format.h>

#include <antiphon/media/image/native_image.h>
#include <antiphon/media/image/processor_keys.h>

namespace antiphon::media {
namespace {

// The bounds, by any of the names that they have had; what stands later in the list wins.
constexpr std::pair<const char*, const char*> kBounds[] = {{"min_pixels", "min_pixels"},
                                                           {"max_pixels", "max_pixels"},
                                                           {"shortest_edge", "min_pixels"},
                                                           {"longest_edge", "max_pixels"}};

ForeignKeys native_image_keys(const PatchSizes& sizes) {
  return patch_keys(sizes).with(
      {.options = {{"resample", "resample"},
                   {"image_mean", "mean"},
                   {"image_std", "std"},
                   {"min_pixels", "min_pixels"},
                   {"max_pixels", "max_pixels"}},
       .fixed = {{"image_processor_type",
                  {"Qwen2VLImageProcessor", "Qwen2VLImageProcessorFast", "Qwen2VLImageProcessorPil"}}},
       // From chunk_length on, a feature extractor's, which Qwen2.5-Omni has in the same file.
       .other = {"image_seq_length", "chunk_length", "dither", "feature_extractor_type", "feature_size", "hop_length",
                 "n_fft", "n_samples", "nb_max_frames", "padding_side", "padding_value", "return_attention_mask",
                 "sampling_rate", "mel_filters"}});
}

}  // namespace

ForeignKeys patch_keys(const PatchSizes& sizes) {
  return processor_keys().with({.fixed = {{"do_pad", {false}},
                                          {"do_center_crop", {false}},
                                          {"crop_size", {}},
                                          {"patch_size", {sizes.patch}},
                                          {"temporal_patch_size", {sizes.frames}},
                                          {"merge_size", {sizes.merge}}}});
}

void read_native_image(const JsonTable& json, const PatchSizes& sizes, const config::Schema& table, void* options) {
  if (!json.exists()) return;
  check_rescaled(json);
  std::vector<ForeignKeys::Option> bounds;
  for (const auto& [key, option] : kBounds) bounds.push_back({key, option});
  foreign::read_options(json.table("size"), bounds, table, options);
  foreign::read_keys(json, native_image_keys(sizes), table, options);
}

}  // namespace antiphon::media
