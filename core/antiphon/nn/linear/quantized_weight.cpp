#include <antiphon/nn/linear/quantized_weight.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/kernels/for_rows.h>

namespace antiphon::nn {
using kernels::kGroup, kernels::kPanel, kernels::WeightFormat;

namespace {

// Calls body(kernels, element type, begin, end) for shares of the rows, multiples of kPanel, on all threads.
template <class Body>
void for_panels(at::ScalarType dtype, int64_t out, int64_t in, const Body& body) {
  kernels::share_rows(out / kPanel, kPanel * in, [&](int64_t begin, int64_t end) {
    if (dtype == at::kFloat)
      body(kernels::decode_kernels<float>(), float{}, begin * kPanel, end * kPanel);
    else
      body(kernels::decode_kernels<uint16_t>(), uint16_t{}, begin * kPanel, end * kPanel);
  });
}

}  // namespace

bool QuantizedWeight::fits(const at::Tensor& weight) {
  return weight.dim() == 2 && weight.size(0) % kPanel == 0 && weight.size(1) % kGroup == 0;
}

QuantizedWeight QuantizedWeight::of(const at::Tensor& weight, const std::string& format) {
  if (!fits(weight))
    fail(ErrorKind::internal,
         fmt::format("a weight of {} x {} cannot be quantised: its sides are to be multiples of {} and {}",
                     weight.size(0), weight.size(1), kPanel, kGroup));
  QuantizedWeight q;
  q.format = format == "int4" ? WeightFormat::int4 : WeightFormat::int8;
  q.out = weight.size(0), q.in = weight.size(1);
  const auto dtype = weight.scalar_type() == at::kBFloat16 ? at::kBFloat16 : at::kFloat;
  const auto source = weight.detach().to(dtype).contiguous();
  const bool narrow = q.format == WeightFormat::int4;
  q.values = at::empty({q.out / kPanel, narrow ? q.in / 2 : q.in, kPanel}, narrow ? at::kByte : at::kChar);
  q.scales = at::empty({q.out / kPanel, q.in / kGroup, kPanel}, at::kBFloat16);
  for_panels(dtype, q.out, q.in, [&](const auto& table, auto type, int64_t begin, int64_t end) {
    table.pack(kernels::data<decltype(type)>(source), q.in, q.format, kernels::data<uint8_t>(q.values),
               kernels::data<uint16_t>(q.scales), begin, end);
  });
  return q;
}

kernels::Matrix QuantizedWeight::matrix() const {
  return {format, values.const_data_ptr(), kernels::data<uint16_t>(scales), out, in};
}

at::Tensor QuantizedWeight::dequantized(at::ScalarType dtype) const {
  const auto y = at::empty({in, out}, values.options().dtype(dtype));
  const auto source = matrix();
  for_panels(dtype, out, in, [&](const auto& table, auto type, int64_t begin, int64_t end) {
    table.unpack(source, kernels::data<decltype(type)>(y), begin, end);
  });
  return y.t();
}

at::Tensor QuantizedWeight::rows(const at::Tensor& ids, at::ScalarType dtype) const {
  const auto panel = ids.div(kPanel, "floor"), lane = ids.remainder(kPanel);
  auto pick = [&](const at::Tensor& from) {  // [panels, columns, kPanel] -> [n, columns]
    const auto columns = at::arange(from.size(1), at::kLong).unsqueeze(0);
    return from.index({panel.unsqueeze(1), columns, lane.unsqueeze(1)});
  };
  auto q = pick(values);
  if (format == WeightFormat::int4)
    q = at::stack({q.bitwise_and(15), q.bitwise_right_shift(4)}, -1).to(at::kFloat).sub_(8);
  const auto x = q.to(at::kFloat).view({ids.numel(), in / kGroup, kGroup}) * pick(scales).to(at::kFloat).unsqueeze(-1);
  return x.view({ids.numel(), in}).to(dtype);
}

}  // namespace antiphon::nn
