#include <antiphon/nn/quantized_weight.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/kernels/for_rows.h>

namespace antiphon::nn {
namespace {

using kernels::kGroup, kernels::kPanel, kernels::WeightFormat;

constexpr int64_t kRowsAtOnce = 4096;  // of a large matrix, so that its float32 copies stay small

// x [..., kGroup] float32 -> a scale [..., 1], rounded to bfloat16, among `tries` near the one that spans all values.
at::Tensor best_scale(const at::Tensor& x, double limit, int tries) {
  const auto widest = x.abs().amax(-1, true) / limit;
  at::Tensor best, best_error;
  for (int i = 0; i < tries; ++i) {
    const auto scale = (widest * (1 - 0.04 * i)).to(at::kBFloat16).to(at::kFloat);
    const auto q = (x / scale.clamp_min(1e-30)).round_().clamp_(-limit - 1, limit);
    const auto error = q.mul_(scale).sub_(x).square_().sum(-1, true);
    best = i == 0 ? scale : at::where(error.lt(best_error), scale, best);
    best_error = i == 0 ? error : at::minimum(error, best_error);
  }
  return best;
}

// Rows of the matrix, a multiple of kPanel -> {values, scales}.
std::pair<at::Tensor, at::Tensor> quantized_rows(const at::Tensor& rows, WeightFormat format) {
  const int64_t panels = rows.size(0) / kPanel, in = rows.size(1);
  const bool narrow = format == WeightFormat::int4;
  const double limit = narrow ? 7 : 127;
  const auto x = rows.to(at::kFloat).view({panels, kPanel, in / kGroup, kGroup});
  const auto scale = best_scale(x, limit, narrow ? 8 : 1);
  auto q = (x / scale.clamp_min(1e-30)).round_().clamp_(-limit - 1, limit).view({panels, kPanel, in}).transpose(1, 2);
  const auto scales = scale.squeeze(-1).transpose(1, 2).contiguous().to(at::kBFloat16);
  if (!narrow) return {q.to(at::kChar).contiguous(), scales};
  const auto pairs = (q + 8).to(at::kByte).reshape({panels, in / 2, 2, kPanel});
  return {pairs.select(2, 0).bitwise_or(pairs.select(2, 1).bitwise_left_shift(4)).contiguous(), scales};
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
  std::vector<at::Tensor> values, scales;
  for (int64_t begin = 0; begin < q.out; begin += kRowsAtOnce) {
    auto [some, their] =
        quantized_rows(weight.detach().narrow(0, begin, std::min(kRowsAtOnce, q.out - begin)), q.format);
    values.push_back(some), scales.push_back(their);
  }
  q.values = values.size() == 1 ? values[0] : at::cat(values);
  q.scales = scales.size() == 1 ? scales[0] : at::cat(scales);
  return q;
}

kernels::Matrix QuantizedWeight::matrix() const {
  return {format, values.const_data_ptr(), kernels::data<uint16_t>(scales), out, in};
}

at::Tensor QuantizedWeight::dequantized(at::ScalarType dtype) const {
  const auto y = at::empty({in, out}, values.options().dtype(dtype));
  const auto source = matrix();
  kernels::share_rows(out / kPanel, kPanel * in, [&](int64_t begin, int64_t end) {
    if (dtype == at::kFloat)
      kernels::decode_kernels<float>().unpack(source, kernels::data<float>(y), begin * kPanel, end * kPanel);
    else
      kernels::decode_kernels<uint16_t>().unpack(source, kernels::data<uint16_t>(y), begin * kPanel, end * kPanel);
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
