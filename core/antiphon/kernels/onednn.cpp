#include <antiphon/kernels/onednn.h>

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <antiphon/kernels/isa.h>

#include <optional>
#include <string_view>

namespace antiphon::kernels::onednn {
namespace {

using Linear = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, std::string_view,
                          c10::List<std::optional<at::Scalar>>, std::optional<std::string_view>);
using Pack = at::Tensor(const at::Tensor&, std::optional<int64_t>);

auto find(const char* name) { return c10::Dispatcher::singleton().findSchema({name, ""}); }

}  // namespace

bool has_bfloat16() {
  static const bool there = at::hasMKLDNN() && isa() == Isa::avx512_bf16 && find("mkldnn::_linear_pointwise") &&
                            find("mkldnn::_reorder_linear_weight");
  return there && at::globalContext().userEnabledMkldnn();
}

at::Tensor linear(const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias) {
  static const auto operation = find("mkldnn::_linear_pointwise").value().typed<Linear>();
  const c10::List<std::optional<at::Scalar>> no_scalars;
  return operation.call(x, w, bias.defined() ? std::optional(bias) : std::nullopt, "none", no_scalars, "");
}

at::Tensor packed(const at::Tensor& w, int64_t rows) {
  static const auto operation = find("mkldnn::_reorder_linear_weight").value().typed<Pack>();
  return operation.call(w, rows);
}

}  // namespace antiphon::kernels::onednn
