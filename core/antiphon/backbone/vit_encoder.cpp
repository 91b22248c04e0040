#include <antiphon/backbone/vit_encoder.h>

#include <ATen/ATen.h>

#include <antiphon/base/error.h>

namespace antiphon::backbone {

VitEncoder::VitEncoder(const nn::VitOptions& options, const nn::VitKind& kind)
    : width_(options.hidden_size),
      has_class_token_(kind.class_token),
      keep_class_token_(options.keep_class_token),
      vit_(options, kind) {}

void VitEncoder::pool_with(std::unique_ptr<nn::VitPool> pool) {
  if (keep_class_token_)
    fail(ErrorKind::config, "class_token = true and pooled = true: a pooled picture is one vector",
         "leave one of them out");
  vit_.pool_with(std::move(pool));
}

// With the class token the vectors are not a grid.
TokenGrid VitEncoder::output_grid(at::IntArrayRef part_shape) const {
  const auto grid = vit_.grid(part_shape);
  if (vit_.pool()) return {1, 1};
  return has_class_token_ && keep_class_token_ ? TokenGrid{1, grid.count() + 1} : grid;
}

at::Tensor VitEncoder::forward(const at::Tensor& parts) {
  const auto x = vit_.forward(parts);
  return has_class_token_ && !keep_class_token_ && !vit_.pool() ? x.narrow(1, 1, x.size(1) - 1) : x;
}

}  // namespace antiphon::backbone
