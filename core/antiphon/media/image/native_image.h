// How image encoders take pictures of any shape at about their own size (Qwen2-VL and its successors), read from
// preprocessor_config.json. Exact to transformers' image processors on Pillow
// (models/qwen2_vl/image_processing_pil_qwen2_vl.py).
#pragma once
#include <antiphon/component/encoder.h>
#include <antiphon/component/pretrained.h>
#include <antiphon/config/schema.h>
#include <antiphon/media/image/resize.h>

namespace antiphon::media {

struct NativeImage {
  int64_t min_pixels = 56 * 56, max_pixels = 28 * 28 * 1280, resample = 3;
  std::vector<double> mean = {0.48145466, 0.4578275, 0.40821073}, std = {0.26862954, 0.26130258, 0.27577711};
};

// What the encoder has that the file says again; pixels, frames and patches.
struct PatchSizes {
  int64_t patch = 14, frames = 2, merge = 2;
};

// Frames that the bounds hold for together: how many there are, and as how many they count before sizes are bounded.
struct FrameCount {
  int64_t frames = 1, counted = 1;
};

// The nearest size of about this shape whose edges are multiples of `multiple` and whose area, times the frames, is
// within the bounds (smart_resize; halves are rounded to even). Error(data) for an empty picture, and if one edge is
// more than 200 times the other.
Size native_size(Size picture, int64_t multiple, int64_t min_pixels, int64_t max_pixels, FrameCount count = {});

Normalization normalization_of(const NativeImage& options);

// Keys of processors that cut pictures or frames into patches.
ForeignKeys patch_keys(const PatchSizes& sizes);

// `plugin` is for messages, `options` is the same object, as the type that `table` describes. Error(weights) for steps
// that are not supported, and for other patches than the encoder's.
void read_native_image(const JsonTable& preprocessor, const PatchSizes& sizes, const config::Schema& table,
                       void* options);
// Error(config) if the options contradict each other.
void check_native_image(const NativeImage& options, int64_t multiple, const std::string& plugin);

// [1, 3, height, width] float32 on the CPU. Error(data) if the item is not an image, or native_size() refuses it.
at::Tensor native_part(const MediaItem& item, const NativeImage& options, int64_t multiple, const std::string& plugin);

// Adds the keys of NativeImage to the table of an options struct that derives from it.
template <class Options>
config::Table<Options>& add_native_image_fields(config::Table<Options>& table) {
  using I = NativeImage;
  auto of = []<class M>(M I::*member) -> M Options::* { return member; };
  return table
      .field("min_pixels", of(&I::min_pixels), "smaller pictures are enlarged to so many pixels",
             {.min = 1, .max = 1 << 28})
      .field("max_pixels", of(&I::max_pixels), "larger pictures are shrunk to so many pixels",
             {.min = 1, .max = 1 << 28})
      .field("resample", of(&I::resample),
             "Pillow's filter number: 0 nearest, 1 lanczos, 2 bilinear, 3 bicubic, 4 box, 5 hamming",
             {.min = 0, .max = 5})
      .field("mean", of(&I::mean), "subtracted from each channel, of 1", {.min = -1000, .max = 1000})
      .field("std", of(&I::std), "divides each channel, of 1", {.min = 0, .max = 1000, .above_min = true});
}

}  // namespace antiphon::media
