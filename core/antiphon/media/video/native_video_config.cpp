// video_preprocessor_config.json -> NativeVideo.
#include <antiphon/media/image/processor_keys.h>
#include <antiphon/media/video/native_video.h>

namespace antiphon::media {
namespace {

// By any of the names that they have had; what stands later in the list wins.
const std::vector<ForeignKeys::Option>& video_bounds() {
  static const auto* bounds = new std::vector<ForeignKeys::Option>{{"min_pixels", "video_min_pixels"},
                                                                   {"max_pixels", "video_max_pixels"},
                                                                   {"shortest_edge", "video_min_pixels"},
                                                                   {"longest_edge", "video_max_pixels"}};
  return *bounds;
}

ForeignKeys native_video_keys(const PatchSizes& sizes, const std::string& type, const NativeImage& image) {
  const std::string same = "pictures and videos go through one encoder: give both the same";
  return patch_keys(sizes).with({.options = {{"fps", "video_fps"},
                                             {"num_frames", "video_frames"},
                                             {"min_frames", "video_min_frames"},
                                             {"max_frames", "video_max_frames"},
                                             {"min_pixels", "video_min_pixels"},
                                             {"max_pixels", "video_max_pixels"},
                                             {"cap_pixels_per_frame", "video_cap"},
                                             {"max_video_tokens", "video_max_tokens"}},
                                 .fixed = {{"resample", {image.resample}, same},
                                           {"image_mean", {image.mean}, same},
                                           {"image_std", {image.std}, same},
                                           {"video_processor_type", {type}}},
                                 .other = {"do_sample_frames", "return_metadata", "image_processor_type",
                                           "max_image_size", "max_duration", "video_metadata"}});
}

}  // namespace

void read_native_video(const PretrainedConfig& pretrained, const PatchSizes& sizes, const std::string& type,
                       const NativeImage& image, const config::Schema& table, void* options) {
  const auto& json = pretrained.video_preprocessor;
  if (!json.exists()) {
    if (!pretrained.preprocessor.exists()) return;
    foreign::read_options(pretrained.preprocessor.table("size"), video_bounds(), table, options);
    foreign::read_options(pretrained.preprocessor, video_bounds(), table, options);
    return;
  }
  check_rescaled(json);
  foreign::read_options(json.table("size"), video_bounds(), table, options);
  foreign::read_keys(json, native_video_keys(sizes, type, image), table, options);
}

}  // namespace antiphon::media
