// Merges each square of neighbouring vectors of a grid into one wide vector.
#pragma once
#include <antiphon/component/encoder.h>

namespace antiphon::nn {

// The grid of squares of `factor` x `factor`; those at the far edges may hang over.
TokenGrid squares(const TokenGrid& grid, int64_t factor);
// x [n, grid.count(), width] -> [n, squares(grid, factor).count(), factor² · width], row by row, also within a square.
// What hangs over is zero. As pixel_shuffle of transformers (models/internvl, models/idefics3) and the DownSampleBlocks
// of VILA (llava/model/multimodal_projector/base_projector.py).
at::Tensor space_to_depth(const at::Tensor& x, const TokenGrid& grid, int64_t factor);

}  // namespace antiphon::nn
