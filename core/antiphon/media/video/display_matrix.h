// How a video's frames must be rotated and mirrored to be upright. Knows nothing of FFmpeg.
#pragma once
#include <cstdint>
#include <span>

namespace antiphon::media {

// The nearest of the eight EXIF orientations to a display matrix (ISO/IEC 14496-12, 8.3.2): row-major a b u, c d v,
// x y w, which maps the stored point (p, q) to (a p + c q, b p + d q). 1 if the matrix is invalid.
int orientation_of_matrix(std::span<const int32_t, 9> matrix);

}  // namespace antiphon::media
