// How image encoders turn an image into a tensor, read from preprocessor_config.json: fit to a square, or cut into
// tiles beside the whole ("anyres", or stretched over as many squares as fit its shape), and normalise. Exact to
// transformers' image processors on Pillow.
#pragma once
#include <antiphon/component/encoder.h>
#include <antiphon/component/pretrained.h>
#include <antiphon/config/schema.h>
#include <antiphon/media/image/resize.h>

namespace antiphon::media {

struct ImageProcessing {
  std::string fit = "crop";
  int64_t shortest_edge = 224, input_size = 224, resample = 3;
  std::vector<double> mean = {0.485, 0.456, 0.406}, std = {0.229, 0.224, 0.225};
  std::vector<std::string> tile_resolutions;
  int64_t min_tiles = 1, max_tiles = 0;
};

// As BitImageProcessor, ViTImageProcessor, CLIPImageProcessor, SiglipImageProcessor, LlavaNextImageProcessor and
// GotOcr2ImageProcessor (as InternVLProcessor uses it) of transformers read it; `plugin` is for messages, `options` is
// the same object, as the type that `table` describes. Error(weights) for steps that are not supported.
void read_image_processing(const JsonTable& preprocessor, const std::string& plugin, const config::Schema& table,
                           ImageProcessing& o, void* options);
template <class Options>
void read_image_processing(const JsonTable& preprocessor, const std::string& plugin,
                           const config::Table<Options>& table, Options& options) {
  read_image_processing(preprocessor, plugin, table, options, &options);
}
Normalization normalization_of(const ImageProcessing& options);
// Error(config) if the options contradict each other.
void check_image_processing(const ImageProcessing& options, const std::string& plugin);
// Error(config) if a picture is smaller than a patch.
void check_patch(const ImageProcessing& options, int64_t patch_size, const std::string& plugin);

// Parts of [3, input_size, input_size]: the whole image, then its tiles row by row if there are resolutions to tile to;
// with max_tiles the tiles first.
// Error(data) if the item is not an image.
std::vector<at::Tensor> process_image(const MediaItem& item, const ImageProcessing& options, const std::string& plugin);
// The tile grid of that image; empty if it is not tiled.
Tiling tiling_of(Size size, const ImageProcessing& options);

// Adds the keys of ImageProcessing to the table of an options struct that derives from it.
template <class Options>
config::Table<Options>& add_image_fields(config::Table<Options>& table) {
  using I = ImageProcessing;
  auto of = []<class M>(M I::*member) -> M Options::* { return member; };
  return table
      .field("fit", of(&I::fit),
             "crop: shortest edge, then the middle; stretch: to the square; pad: whole picture on white",
             {.choices = {"crop", "stretch", "pad"}})
      .field("shortest_edge", of(&I::shortest_edge), "fit = crop: shorter edge before cropping, pixels",
             {.min = 1, .max = 16384})
      .field("input_size", of(&I::input_size), "edge of the square that the encoder sees, pixels",
             {.min = 1, .max = 16384})
      .field("resample", of(&I::resample),
             "Pillow's filter number: 0 nearest, 1 lanczos, 2 bilinear, 3 bicubic, 4 box, 5 hamming",
             {.min = 0, .max = 5})
      .field("mean", of(&I::mean), "subtracted from each channel, of 1", {.min = -1000, .max = 1000})
      .field("std", of(&I::std), "divides each channel, of 1", {.min = 0, .max = 1000, .above_min = true})
      .field("tile_resolutions", of(&I::tile_resolutions),
             "anyres: the picture is brought to the best of these (\"HEIGHTxWIDTH\", multiples of input_size) and cut "
             "into tiles, beside the whole picture; empty: no tiles")
      .field("min_tiles", of(&I::min_tiles), "see max_tiles", {.min = 1, .max = 1024})
      .field("max_tiles", of(&I::max_tiles),
             "fit = stretch: the picture is stretched over at least min_tiles and at most so many squares of "
             "input_size, as many as fit its shape, which come before the whole picture; 0 or 1: the picture alone",
             {.min = 0, .max = 1024});
}

}  // namespace antiphon::media
