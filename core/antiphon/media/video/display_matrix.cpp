#include <antiphon/media/video/display_matrix.h>

#include <cstdlib>

namespace antiphon::media {

int orientation_of_matrix(std::span<const int32_t, 9> matrix) {
  const int64_t a = matrix[0], b = matrix[1], c = matrix[3], d = matrix[4], determinant = a * d - b * c;
  if (determinant == 0) return 1;
  const bool mirrored = determinant < 0;
  const int64_t straight = mirrored ? a - d : a + d, turned = mirrored ? b + c : b - c;
  if (std::abs(straight) >= std::abs(turned)) return mirrored ? (straight > 0 ? 4 : 2) : (straight > 0 ? 1 : 3);
  return mirrored ? (turned > 0 ? 5 : 7) : (turned > 0 ? 6 : 8);
}

}  // namespace antiphon::media
