// Image encoders over pictures and videos of any size (Qwen2-VL and its successors) up to their mergers, which are
// connectors: code shared by their plugins, and the options of their tables.
#pragma once
#include <antiphon/component/encoder.h>
#include <antiphon/media/image/native_image.h>
#include <antiphon/media/video/native_video.h>
#include <antiphon/nn/activation.h>
#include <antiphon/nn/blocks/packed_vit.h>

#include <memory>

namespace antiphon::backbone {

struct NativeVitOptions : media::NativeImage, media::NativeVideo {
  int64_t hidden_size = 1280, intermediate_size = 5120, num_layers = 32, num_heads = 16;
  int64_t patch_size = 14, temporal_patch_size = 2, merge_size = 2;
  std::string activation = "gelu";
  double rope_theta = 10000;

  int64_t multiple() const { return patch_size * merge_size; }
  media::PatchSizes patches() const { return {patch_size, temporal_patch_size, merge_size}; }
  media::VideoUse video_use(double positions_per_second = 0, double seconds_per_chunk = 0) const {
    return {temporal_patch_size, multiple(), resample, positions_per_second, seconds_per_chunk};
  }
  // The tower with these options; norms, windows and tables are the family's.
  nn::PackedVitOptions vit() const;
};

// Adds the keys of NativeVitOptions to the table of an options struct that derives from it, those of pictures and
// videos last.
template <class Options>
config::Table<Options>& add_native_vit_fields(config::Table<Options>& table) {
  using V = NativeVitOptions;
  auto of = []<class M>(M V::*member) -> M Options::* { return member; };
  table.field("hidden_size", of(&V::hidden_size), "width", {.min = 1, .max = 1 << 20})
      .field("intermediate_size", of(&V::intermediate_size), "width of the MLP", {.min = 1, .max = 1 << 22})
      .field("num_layers", of(&V::num_layers), "blocks", {.min = 1, .max = 1000})
      .field("num_heads", of(&V::num_heads), "attention heads", {.min = 1, .max = 1 << 16})
      .field("patch_size", of(&V::patch_size), "pixels", {.min = 1, .max = 4096})
      .field("temporal_patch_size", of(&V::temporal_patch_size), "frames of a patch; a picture stands for all",
             {.min = 1, .max = 64})
      .field("merge_size", of(&V::merge_size),
             "patches on the edge of a square that a merger joins: grids are multiples", {.min = 1, .max = 64})
      .field("activation", of(&V::activation), "of the MLP", {.choices = nn::activation_names()})
      .field("rope_theta", of(&V::rope_theta), "base of the rotary frequencies",
             {.min = 0, .max = 1e15, .above_min = true});
  media::add_native_image_fields(table);
  return media::add_native_video_fields(table);
}

// What config.json of all families has.
const ForeignKeys& native_vit_keys();
// Its table of rotary frequencies.
void read_axial_rope(const JsonTable& config, const config::Schema& table, void* options);

// A plugin adds the name map. Parts are [1 or temporal_patch_size, 3, height, width].
class NativeVitEncoder : public Encoder {
 public:
  // Error(config) if the options contradict each other; `plugin` is for messages.
  NativeVitEncoder(const std::string& plugin, const NativeVitOptions& options, const nn::PackedVitOptions& vit,
                   std::unique_ptr<const VideoRule> video);
  Modality modality() const override { return Modality::image; }
  int64_t output_size() const override { return vit_.output_size(); }
  std::vector<at::Tensor> process(const MediaItem& item) const override;
  const VideoRule* video() const override { return video_.get(); }
  std::vector<int64_t> example_shape() const override;
  TokenGrid output_grid(at::IntArrayRef shape) const override;
  at::Tensor forward(const at::Tensor& parts) override;
  bool is_packed() const override { return true; }
  at::Tensor forward_packed(const std::vector<at::Tensor>& parts) override { return vit_.forward(parts); }
  Module& module() override { return vit_; }

 private:
  std::string plugin_;
  NativeVitOptions options_;
  std::unique_ptr<const VideoRule> video_;
  nn::PackedVit vit_;
};

}  // namespace antiphon::backbone
