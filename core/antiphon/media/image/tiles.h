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
// The image in the middle of a larger one, an odd pixel after it; `gray` around it.
Image centered(const Image& image, Size size, uint8_t gray);

}  // namespace antiphon::media
