// Tiling of "anyres" models (LLaVA-NeXT; transformers: models/llava_next/image_processing_pil_llava_next.py).
#pragma once
#include <string>

#include <antiphon/media/image/resize.h>

namespace antiphon::media {

// "336x672" is 336 high and 672 wide. Error(config) for anything else.
Size parse_size(const std::string& text);
// The resolution that keeps most of the image's pixels; among equals, the one that wastes least.
Size best_resolution(Size picture, const std::vector<Size>& resolutions);
// The image, fitted into `whole` with its proportions kept, on black; cut into squares of `edge`, row by row.
std::vector<Image> tiles(const Image& image, Size whole, int64_t edge, Filter filter);
// How many squares of `edge` a picture is stretched over, as rows and columns: of `least` to `most` of them those of
// the closest shape; among equals the last, if the picture has more than half of their pixels, else the first
// (get_optimal_tiled_canvas of transformers: models/got_ocr2/image_processing_pil_got_ocr2.py).
Size tile_grid(Size picture, int64_t edge, int64_t least, int64_t most);
// The image, stretched over that grid and cut into its squares, row by row; then the whole image as one, if there are
// several.
std::vector<Image> stretched_tiles(const Image& image, Size grid, int64_t edge, Filter filter);
// The image in the middle of a larger one, an odd pixel after it; `gray` around it.
Image centered(const Image& image, Size size, uint8_t gray);

}  // namespace antiphon::media
