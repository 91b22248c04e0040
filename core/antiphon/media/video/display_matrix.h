// How a video's frames are to be turned and mirrored to be seen upright. Knows nothing of FFmpeg.
#pragma once
#include <cstdint>
#include <span>

namespace antiphon::media {

// The nearest of the eight EXIF orientations to a display matrix (ISO/IEC 14496-12, 8.3.2): row-major a b u, c d v,
// x y w, which takes the stored point (p, q) to (a p + c q, b p + d q). 1 if the matrix makes no sense.
int orientation_of_matrix(std::span<const int32_t, 9> matrix);

}  // namespace antiphon::media
