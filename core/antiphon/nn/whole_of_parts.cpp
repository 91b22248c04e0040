#include <antiphon/nn/whole_of_parts.h>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <antiphon/nn/linear/linear.h>

#include <vector>

namespace antiphon::nn {

at::Tensor whole_of_parts(const at::Tensor& part, const Box& box, comm::Group& group) {
  c10::AutoGradMode no_grad(false);
  const auto own = part.detach().contiguous();
  auto place = box.begin;
  place.insert(place.end(), own.sizes().begin(), own.sizes().end());
  const auto mine = at::tensor(place, at::kLong), all = at::empty({group.size(), mine.size(0)}, at::kLong);
  group.gather(mine, all);
  std::vector<comm::Pieces> pieces;
  for (const auto& of_process : all.unbind()) {
    const auto* numbers = of_process.const_data_ptr<int64_t>();
    pieces.push_back({at::empty(at::IntArrayRef(numbers + own.dim(), static_cast<size_t>(own.dim())), own.options())});
  }
  group.begin_gather({own}, pieces)();
  auto whole = at::empty(box.whole, own.options());
  for (size_t i = 0; i < pieces.size(); ++i) {
    auto to = whole;
    for (int64_t d = 0; d < own.dim(); ++d)
      to = to.narrow(d, all[static_cast<int64_t>(i)][d].item<int64_t>(), pieces[i][0].size(d));
    to.copy_(pieces[i][0]);
  }
  return whole;
}

at::Tensor whole_of_parts(const at::Tensor& part, Linear& layer) {
  const auto box = layer.parameters().front().box;
  return box && layer.together && part.sizes() != box->whole ? whole_of_parts(part, *box, *layer.together) : part;
}

}  // namespace antiphon::nn
