#include <antiphon/parallel/gather_rows.h>

#include <ATen/ATen.h>

#include <antiphon/parallel/agreed.h>

#include <algorithm>

namespace antiphon::parallel {

GatheredRows gather_rows(const at::Tensor& own, comm::Group* group) {
  if (!group) return {own, 0};
  std::vector<int64_t> counts;
  for (const auto& of_rank : gathered({own.size(0)}, *group)) counts.push_back(of_rank.front());
  auto shape = own.sizes().vec();
  shape.front() = *std::ranges::max_element(counts);  // an exchange wants one shape
  const auto padded = at::zeros(shape, own.options());
  padded.narrow(0, 0, own.size(0)).copy_(own);
  shape.insert(shape.begin(), group->size());
  const auto all = at::empty(shape, own.options());
  group->gather(padded, all);
  GatheredRows gathered;
  std::vector<at::Tensor> rows;
  for (int rank = 0; rank < group->size(); ++rank) {
    if (rank < group->rank()) gathered.first += counts[static_cast<size_t>(rank)];
    rows.push_back(all[rank].narrow(0, 0, counts[static_cast<size_t>(rank)]));
  }
  gathered.rows = at::cat(rows);
  return gathered;
}

}  // namespace antiphon::parallel
