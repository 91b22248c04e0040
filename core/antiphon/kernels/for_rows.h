// Runs a row kernel over a tensor's rows on all threads.
#pragma once
#include <ATen/core/Tensor.h>

#include <antiphon/kernels/rows.h>

#include <functional>

namespace antiphon::kernels {

// Whether the row kernels take a tensor of this kind: float32 or bfloat16 on the CPU.
inline bool fits(const at::Tensor& x) {
  return x.device().is_cpu() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
}

// `T` is float or uint16_t (bfloat16's bits); `x` is contiguous.
template <class T>
T* data(const at::Tensor& x) {
  return static_cast<T*>(x.data_ptr());
}

// Calls share(begin, end) for shares of [0, rows) on all threads; small work stays on this thread. `width`: elements
// per row.
void share_rows(int64_t rows, int64_t width, const std::function<void(int64_t, int64_t)>& share);

// Calls body(kernels, T{}, begin, end) with the kernels and the element type for x.
template <class Body>
void for_rows(const at::Tensor& x, int64_t rows, int64_t width, const Body& body) {
  share_rows(rows, width, [&](int64_t begin, int64_t end) {
    if (x.scalar_type() == at::kFloat) {
      body(row_kernels<float>(), float{}, begin, end);
    } else {
      body(row_kernels<uint16_t>(), uint16_t{}, begin, end);
    }
  });
}

}  // namespace antiphon::kernels
