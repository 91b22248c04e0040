#include <antiphon/parallel/put_together.h>

#include <ATen/ATen.h>

namespace antiphon::parallel {
namespace {

// Of all processes, in their order.
std::vector<std::vector<int64_t>> gathered(const std::vector<int64_t>& own, comm::Group& group) {
  const auto mine = at::tensor(own, at::kLong);
  const auto all = at::empty({group.size(), mine.size(0)}, at::kLong);
  group.gather(mine, all);
  std::vector<std::vector<int64_t>> lists;
  for (const auto& list : all.unbind()) {
    const auto* first = list.const_data_ptr<int64_t>();
    lists.emplace_back(first, first + own.size());
  }
  return lists;
}

}  // namespace

void put_together(const std::vector<Parameter>& parameters, comm::Group& group) {
  c10::AutoGradMode no_grad(false);
  for (const auto& parameter : parameters) {
    if (!parameter.box) continue;
    const auto part = parameter.tensor->detach().contiguous();
    const auto sizes = gathered(part.sizes().vec(), group), begins = gathered(parameter.box->begin, group);
    std::vector<comm::Pieces> places;
    for (const auto& size : sizes) places.push_back({at::empty(size, part.options())});
    group.begin_gather({part}, places)();
    auto whole = at::empty(parameter.box->whole, part.options());
    for (size_t i = 0; i < places.size(); ++i) {
      auto place = whole;
      for (size_t d = 0; d < begins[i].size(); ++d)
        place = place.narrow(static_cast<int64_t>(d), begins[i][d], sizes[i][d]);
      place.copy_(places[i][0]);
    }
    *parameter.tensor = whole;
  }
}

}  // namespace antiphon::parallel
