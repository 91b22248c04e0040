// How image encoders take pictures that keep their shape up to a longest edge (Pixtral), read from
// preprocessor_config.json. Exact to transformers' image processor on Pillow
// (models/pixtral/image_processing_pil_pixtral.py).
#pragma once
#include <antiphon/component/encoder.h>
#include <antiphon/component/pretrained.h>
#include <antiphon/config/schema.h>
#include <antiphon/media/image/resize.h>

namespace antiphon::media {

struct EdgeImage {
  int64_t longest_edge = 1024, resample = 3;
  std::vector<double> mean = {0.48145466, 0.4578275, 0.40821073}, std = {0.26862954, 0.26130258, 0.27577711};
};

// The size whose edges are at most `longest_edge`, cut to whole pixels, and then filled up to multiples of `multiple`.
// Error(data) for an empty picture, and for one so thin that nothing of an edge is left.
Size edge_size(Size picture, int64_t longest_edge, int64_t multiple);

// `plugin` is for messages, `options` is the same object, as the type that `table` describes. Error(weights) for steps
// that are not supported, and for patches that are not made of the encoder's.
void read_edge_image(const JsonTable& preprocessor, int64_t patch_size, const config::Schema& table, EdgeImage& o,
                     void* options);
// Error(config) if the options contradict each other.
void check_edge_image(const EdgeImage& options, const std::string& plugin);

// [1, 3, height, width] float32 on the CPU. Error(data) if the item is not an image, or edge_size() refuses it.
at::Tensor edge_part(const MediaItem& item, const EdgeImage& options, int64_t multiple, const std::string& plugin);

// Adds the keys of EdgeImage to the table of an options struct that derives from it.
template <class Options>
config::Table<Options>& add_edge_image_fields(config::Table<Options>& table) {
  using I = EdgeImage;
  auto of = []<class M>(M I::*member) -> M Options::* { return member; };
  return table
      .field("longest_edge", of(&I::longest_edge), "larger pictures are shrunk to edges of so many pixels",
             {.min = 1, .max = 16384})
      .field("resample", of(&I::resample),
             "Pillow's filter number: 0 nearest, 1 lanczos, 2 bilinear, 3 bicubic, 4 box, 5 hamming",
             {.min = 0, .max = 5})
      .field("mean", of(&I::mean), "subtracted from each channel, of 1", {.min = -1000, .max = 1000})
      .field("std", of(&I::std), "divides each channel, of 1", {.min = 0, .max = 1000, .above_min = true});
}

}  // namespace antiphon::media
