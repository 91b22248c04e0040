#include <antiphon/parallel/put_together.h>

#include <ATen/ATen.h>

#include <antiphon/parallel/agreed.h>

namespace antiphon::parallel {
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
