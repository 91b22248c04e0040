#include <ATen/ATen.h>

#include <antiphon/model/embedding_places.h>

namespace antiphon::model {

std::vector<at::Tensor> embedding_places(const Batch& batch, const std::string& stream) {
  std::vector<at::Tensor> places;
  for (const auto& media : batch.media) {
    if (media.stream != stream) continue;
    const auto all = at::arange(media.position, media.position + media.item.tokens, at::kLong);
    const auto& ids = media.item.ids;
    places.push_back(ids.empty() ? all : all.masked_select(at::tensor(ids, at::kLong).eq(-1)));
  }
  return places;
}

}  // namespace antiphon::model
