// The vision transformers of Idefics3 and SmolVLM2 (Laurençon et al. 2024, Marafioti et al. 2025; transformers:
// models/idefics3, models/smolvlm): that of SigLIP, with the positions of a picture of any shape taken from the table
// at the same parts of its edges; pictures in tiles beside the whole, and videos as frames with their times in the
// text.
#include <fmt/format.h>

#include <antiphon/backbone/vit_encoder.h>
#include <antiphon/backbone/vit_pretrained.h>
#include <antiphon/component/encoder.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

#include "frames.h"

namespace antiphon::idefics3_vision {

constexpr const char* kName = "idefics3_vision";

struct VisionOptions : nn::VitOptions, SplitImage, VideoOptions {
  VisionOptions() { hidden_size = 1152, num_heads = 16, patch_size = 32, activation = "gelu_pytorch_tanh"; }
  void read_pretrained(const PretrainedConfig& pretrained);
};

// A member of what the options derive from, as theirs.
template <class Member, class Base>
constexpr Member VisionOptions::*of(Member Base::*member) {
  return member;
}

config::Table<VisionOptions>& add_image_fields(config::Table<VisionOptions>& table) {
  using O = VisionOptions;
  return table
      .field("longest_edge", of(&O::longest_edge), "pictures are brought to so many pixels on the longer edge",
             {.min = 1, .max = kMostPixels})
      .field("tile_size", of(&O::tile_size), "edge of the square that the encoder sees, pixels",
             {.min = 1, .max = kMostPixels})
      .field("split", of(&O::split),
             "the picture is stretched over whole tiles and cut into them, beside the whole; false: the whole alone")
      .field("resample", of(&O::resample), "Pillow's filter number: 1 lanczos, 2 bilinear, 3 bicubic, 4 box, 5 hamming",
             {.min = 1, .max = 5})
      .field("mean", of(&O::mean), "subtracted from each channel, of 1", {.min = -1000, .max = 1000})
      .field("std", of(&O::std), "divides each channel, of 1", {.min = 0, .max = 1000, .above_min = true});
}

config::Table<VisionOptions>& add_video_fields(config::Table<VisionOptions>& table) {
  using O = VisionOptions;
  return table
      .field("video_fps", of(&O::video_fps), "frames of a video, a second", {.min = 0, .max = 240, .above_min = true})
      .field("video_frames", of(&O::video_frames), "at most", {.min = 1, .max = 4096})
      .field("video_longest_edge", of(&O::video_longest_edge),
             "frames are brought to so many pixels on the longer edge", {.min = 1, .max = kMostPixels})
      .field("video_resample", of(&O::video_resample), "the same as resample, of frames", {.min = 1, .max = 5});
}

const config::Table<VisionOptions>& vision_table() {
  static const auto* table = [] {
    auto* t = new config::Table<VisionOptions>(kName);
    backbone::add_vit_fields(*t, /*class_token=*/false);
    add_image_fields(*t);
    add_video_fields(*t);
    return t;
  }();
  return *table;
}

void VisionOptions::read_pretrained(const PretrainedConfig& pretrained) {
  static const auto* keys =
      new ForeignKeys(backbone::vit_keys().with({.options = {{"intermediate_size", "intermediate_size"}},
                                                 .other = {"max_image_size", "size", "use_base_siglip"}}));
  const auto type = pretrained.config.text("model_type", "");
  expect_model_type(pretrained, kName, type == "smolvlm_vision" ? type : kName);
  read_keys(pretrained.config, *keys, vision_table(), *this);
  read_split_image(pretrained.preprocessor, vision_table(), *this, this);
  read_video(pretrained, *this, vision_table(), *this, this);
}

nn::VitKind vit_kind() {
  nn::VitKind kind;
  kind.plugin = kName, kind.class_token = false, kind.bucketed_positions = true;
  return kind;
}

class Vision : public backbone::VitEncoder {
 public:
  explicit Vision(const VisionOptions& options);
  std::vector<at::Tensor> process(const MediaItem& item) const override;
  Tiling tiling(const MediaItem& item) const override;
  const VideoRule* video() const override { return &video_; }
  std::vector<int64_t> example_shape() const override { return {3, image_.tile_size, image_.tile_size}; }
  NameMap name_map() const override { return backbone::clip_names(vit(), {{"post_layernorm.{}", "norm.{}"}}, {}); }

 private:
  SplitImage image_, frame_;
  TimedFrames video_;
};

Vision::Vision(const VisionOptions& options)
    : VitEncoder(options, vit_kind()), image_(options), frame_(options), video_(options) {
  if (options.mean.size() != 3 || options.std.size() != 3)
    fail(ErrorKind::config, fmt::format("{}: mean and std need three values each", kName));
  frame_.resample = options.video_resample;
}

// Frames have their longest edge already.
std::vector<at::Tensor> Vision::process(const MediaItem& item) const {
  if (item.modality == Modality::image) return split_parts(item.image, image_);
  if (item.modality != Modality::video || item.video.images.empty())
    fail(ErrorKind::data, fmt::format("{} takes pictures and frames of videos, and got {}", kName,
                                      item.modality == Modality::video ? "none" : to_string(item.modality)));
  std::vector<at::Tensor> parts;
  for (const auto& frame : item.video.images) parts.push_back(whole_part(frame, frame_));
  return parts;
}

Tiling Vision::tiling(const MediaItem& item) const {
  if (item.modality != Modality::image) return {};
  const auto tiles = tiles_of({item.image.height, item.image.width}, image_);
  if (tiles.height == 0) return {};
  return {tiles.height, tiles.width, item.image.height, item.image.width};
}

}  // namespace antiphon::idefics3_vision

ANTIPHON_PLUGIN(idefics3_vision, "0.1.0") {
  using namespace antiphon::idefics3_vision;
  antiphon::register_component<antiphon::Encoder, Vision>(
      registrar, "idefics3_vision", "the vision transformers of Idefics3 and SmolVLM2", vision_table());
}
