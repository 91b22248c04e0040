// Positions by part, row and column (M-RoPE), as the language models of Qwen2-VL and its successors have them.
#pragma once
#include <antiphon/component/sample_layout.h>

#include <ATen/core/Tensor.h>

namespace antiphon::backbone {

// Where a sample goes on after a medium.
enum class AfterMedium {
  largest,  // after the largest position of the medium, on whichever axis (transformers 4: qwen2_vl, get_rope_index)
  grid      // after its rows and columns, however long it lasts (transformers 5)
};

// [3, tokens] int64: text counts on, by three equal numbers. Of a medium that begins at p, the embedding in row i and
// column j of part k is at p + floor(k · part_step), p + i, p + j. A medium whose embeddings are not those of its parts
// counts as text, and so does a sound, whose part_step is 0. Of a video with its sound (MediaSpan::runs) the first
// token has the position of the token before it and the last that of the token after it; the n-th embedding of the
// sound is at p + n, and what follows goes on after the largest position of the last run, by either rule. Source: Wang
// et al. 2024 (Qwen2-VL), Bai et al. 2025 (Qwen2.5-VL), Xu et al. 2025 (Qwen2.5-Omni).
at::Tensor grid_positions(const SampleLayout& layout, AfterMedium after);

}  // namespace antiphon::backbone
