#include <antiphon/kernels/for_rows.h>

#include <ATen/Parallel.h>

#include <antiphon/kernels/team.h>

#include <algorithm>

namespace antiphon::kernels {
namespace {

int64_t divided_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

void share_rows(int64_t rows, int64_t width, const std::function<void(int64_t, int64_t)>& share) {
  if (in_part_of_team()) return share(0, rows);
  constexpr int64_t kElementsOfShare = 16384;
  const int64_t least = std::max<int64_t>(1, kElementsOfShare / std::max<int64_t>(1, width));
  const int64_t parts = std::min<int64_t>(at::get_num_threads(), divided_up(rows, least));
  if (parts > 1 && !at::in_parallel_region()) {
    const int64_t each = divided_up(rows, parts);
    const auto part = [&](int64_t i) {
      const int64_t begin = i * each, end = std::min(rows, begin + each);
      if (begin < end) share(begin, end);
    };
    if (run_by_team(parts, part)) return;
  }
  at::parallel_for(0, rows, least, share);
}

}  // namespace antiphon::kernels
