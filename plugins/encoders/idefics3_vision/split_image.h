// How Idefics3 and SmolVLM2 take pictures, read from preprocessor_config.json: brought to a longest edge, stretched
// over whole tiles, and cut into them beside the whole. Exact to transformers' image processors on Pillow
// (models/idefics3/image_processing_pil_idefics3.py, models/smolvlm/image_processing_pil_smolvlm.py).
#pragma once
#include <antiphon/component/encoder.h>
#include <antiphon/component/pretrained.h>
#include <antiphon/config/schema.h>
#include <antiphon/media/image/resize.h>

namespace antiphon::idefics3_vision {

constexpr int64_t kMostPixels = 4096;  // of a longest edge

struct SplitImage {
  int64_t longest_edge = 4 * 364, tile_size = 364, resample = 1;
  bool split = true;
  std::vector<double> mean = {0.5, 0.5, 0.5}, std = {0.5, 0.5, 0.5};
};

// The size of this shape whose longer edge is `longest_edge`; the shorter one is cut to a whole number, and one more if
// that is odd. Error(data) for an empty picture.
media::Size scaled_size(media::Size picture, int64_t longest_edge);
// Rows and columns of tiles of a picture; 0 if it is not cut.
media::Size tiles_of(media::Size picture, const SplitImage& options);
// The whole picture, then its tiles row by row, each [3, tile_size, tile_size] float32 on the CPU.
std::vector<at::Tensor> split_parts(const Image& picture, const SplitImage& options);
// The picture stretched to one tile, as a part.
at::Tensor whole_part(const Image& picture, const SplitImage& options);

// What files of pictures say and those of videos, if they say it, must say, too.
const ForeignKeys& shared_keys();
// An edge of {"longest_edge"}; `otherwise` if there is no such table. Error(weights) for sizes of another kind.
int64_t longest_edge_of(const JsonTable& json, const std::string& key, int64_t otherwise);
// `options` is the same object, as the type that `table` describes. Error(weights) for steps that are not supported.
void read_split_image(const JsonTable& preprocessor, const config::Schema& table, SplitImage& o, void* options);

}  // namespace antiphon::idefics3_vision
