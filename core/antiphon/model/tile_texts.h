// Texts among the embeddings of a picture that is cut into tiles, as processors of Idefics3 and SmolVLM write them
// (transformers: models/idefics3/processing_idefics3.py).
#pragma once
#include <antiphon/component/encoder.h>

#include <string>
#include <vector>

namespace antiphon::model {

// See StreamSpec.
struct TileTexts {
  std::string tile_begin, tile_row_end, tiles_end, whole_begin;

  bool any() const;
  // What stands before each of so many parts, in the order of the text: tiles row by row and then the whole, or parts
  // without tiles. Error(config) if they are not the parts of this tiling.
  std::vector<std::string> before_parts(const Tiling& tiling, size_t parts) const;
};

}  // namespace antiphon::model
