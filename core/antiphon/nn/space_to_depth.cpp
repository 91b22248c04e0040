#include <antiphon/nn/space_to_depth.h>

#include <ATen/ATen.h>

namespace antiphon::nn {

TokenGrid squares(const TokenGrid& grid, int64_t factor) {
  return {(grid.rows + factor - 1) / factor, (grid.columns + factor - 1) / factor};
}

at::Tensor space_to_depth(const at::Tensor& x, const TokenGrid& grid, int64_t factor) {
  const auto out = squares(grid, factor);
  const int64_t n = x.size(0), width = x.size(2);
  const auto table =
      at::constant_pad_nd(x.reshape({n, grid.rows, grid.columns, width}),
                          {0, 0, 0, out.columns * factor - grid.columns, 0, out.rows * factor - grid.rows});
  return table.view({n, out.rows, factor, out.columns, factor, width})
      .transpose(2, 3)
      .reshape({n, out.count(), factor * factor * width});
}

}  // namespace antiphon::nn
