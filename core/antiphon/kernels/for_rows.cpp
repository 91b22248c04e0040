#include <antiphon/kernels/for_rows.h>

#include <ATen/Parallel.h>

#include <algorithm>

namespace antiphon::kernels {

void share_rows(int64_t rows, int64_t width, const std::function<void(int64_t, int64_t)>& share) {
  constexpr int64_t kElementsOfShare = 16384;
  at::parallel_for(0, rows, std::max<int64_t>(1, kElementsOfShare / std::max<int64_t>(1, width)), share);
}

}  // namespace antiphon::kernels
