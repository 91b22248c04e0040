#include <antiphon/nn/linear/nf4_weight.h>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/custom_class.h>

#include <antiphon/base/error.h>
#include <antiphon/kernels/mm.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/nn/linear/nf4_unpack.h>
#include <antiphon/nn/whole_of_parts.h>

#include <algorithm>

namespace antiphon::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kTile = 1 << 22;  // values that are in full width at a time
constexpr float kLeast = 1e-38f;

at::Tensor between(const at::Tensor& numbers) { return (numbers.slice(0, 0, -1) + numbers.slice(0, 1)) / 2; }

// The scales of the blocks of some rows and columns, [rows * columns / kBlock] float32.
at::Tensor scales_of(const Nf4Weight& w, int64_t row, int64_t rows, int64_t column, int64_t columns) {
  constexpr auto block = Nf4Weight::kBlock;
  const auto cut = [&](const at::Tensor& all, int64_t first) {
    return all.view({-1, w.in / block}).narrow(0, first, rows).narrow(1, column / block, columns / block).reshape(-1);
  };
  const auto device = w.values.device();
  const auto from = [&](int64_t first, int64_t count) {
    return at::arange(first, first + count, at::TensorOptions(device).dtype(at::kLong));
  };
  const auto places = from(w.first_row + row, rows).unsqueeze(1) * w.blocks_in_row +
                      from(w.first_block + column / block, columns / block);
  const auto numbers = dynamic_numbers(device).index_select(0, cut(w.scales, row).to(at::kInt));
  return numbers * w.scale_of_scales.index_select(0, places.div(Nf4Weight::kScaleBlock, "floor").view(-1)) +
         w.mean_scale;
}

// What is kept of scales [n] float32.
void keep_scales(const at::Tensor& scales, Nf4Weight& w) {
  const auto mean = scales.mean();
  w.mean_scale = mean.item<float>();
  const int64_t n = scales.size(0), blocks = (n + Nf4Weight::kScaleBlock - 1) / Nf4Weight::kScaleBlock;
  const auto padded = at::constant_pad_nd(scales - mean, {0, blocks * Nf4Weight::kScaleBlock - n});
  const auto rows = padded.view({blocks, Nf4Weight::kScaleBlock});
  w.scale_of_scales = rows.abs().amax(1);
  const auto relative = rows / w.scale_of_scales.clamp_min(kLeast).unsqueeze(1);
  w.scales = at::bucketize(relative, between(dynamic_numbers(scales.device())), /*out_int32=*/true)
                 .to(at::kByte)
                 .view(-1)
                 .narrow(0, 0, n);
  w.scales = w.scales.contiguous();
}

}  // namespace

bool Nf4Weight::fits(const at::Tensor& weight) { return weight.dim() == 2 && weight.size(1) % kBlock == 0; }

Nf4Weight Nf4Weight::of(const at::Tensor& weight, const std::optional<Box>& box, comm::Group* parts) {
  if (!fits(weight))
    fail(ErrorKind::internal,
         fmt::format("a weight of {} x {} cannot be kept as nf4: its rows are to be multiples of {}", weight.size(0),
                     weight.size(1), kBlock));
  Nf4Weight w;
  w.out = weight.size(0), w.in = weight.size(1), w.blocks_in_row = w.in / kBlock;
  const auto there = at::TensorOptions(weight.device());
  w.values = at::empty({w.out, w.in / 2}, there.dtype(at::kByte));
  const auto scales = at::empty({w.out, w.in / kBlock}, there.dtype(at::kFloat));
  const auto bounds = between(normal_floats(weight.device()));
  const int64_t rows = std::max<int64_t>(1, kTile / w.in);
  for (int64_t row = 0; row < w.out; row += rows) {
    const auto tile = weight.detach().slice(0, row, row + rows).to(at::kFloat);
    const auto blocks = tile.reshape({tile.size(0), -1, kBlock});
    const auto largest = blocks.abs().amax(2);
    const auto relative = (blocks * largest.clamp_min(kLeast).reciprocal().unsqueeze(2)).clamp_(-1, 1);
    const auto numbers = at::bucketize(relative, bounds, /*out_int32=*/true).to(at::kByte).view({-1, w.in / 2, 2});
    w.values.slice(0, row, row + rows).copy_(numbers.select(2, 0).bitwise_left_shift(4) + numbers.select(2, 1));
    scales.slice(0, row, row + rows).copy_(largest);
  }
  if (!box || at::IntArrayRef(box->whole) == weight.sizes()) return keep_scales(scales.view(-1), w), w;
  w.first_row = box->begin[0], w.first_block = box->begin[1] / kBlock, w.blocks_in_row = box->whole[1] / kBlock;
  const auto all = whole_of_parts(scales, {{box->whole[0], w.blocks_in_row}, {w.first_row, w.first_block}}, *parts);
  keep_scales(all.view(-1), w);
  const auto own = w.scales.view(all.sizes()).narrow(0, w.first_row, w.out).narrow(1, w.first_block, w.in / kBlock);
  w.scales = own.contiguous().view(-1);
  return w;
}

at::Tensor Nf4Weight::dequantized(at::ScalarType dtype, int64_t row, int64_t rows, int64_t column,
                                  int64_t columns) const {
  return nf4_unpacked(*this, scales_of(*this, row, rows, column, columns), dtype, {row, rows, column, columns});
}

namespace {

// Calls body(begin, size) for shares of `whole`, multiples of `unit`, of which each has at most kTile values.
template <class Body>
at::Tensor by_tiles(int64_t whole, int64_t other, int64_t unit, const Body& body) {
  const int64_t size = std::max(unit, kTile / std::max<int64_t>(other, 1) / unit * unit);
  std::vector<at::Tensor> pieces;
  for (int64_t begin = 0; begin < whole; begin += size) pieces.push_back(body(begin, std::min(size, whole - begin)));
  return pieces.size() == 1 ? pieces[0] : at::cat(pieces, -1);
}

at::Tensor product(const at::Tensor& x, const Nf4Weight& w, const at::Tensor& bias) {
  return by_tiles(w.out, w.in, 1, [&](int64_t row, int64_t rows) {
    return linear(x, w.dequantized(x.scalar_type(), row, rows, 0, w.in),
                  bias.defined() ? bias.narrow(0, row, rows) : bias);
  });
}

// By columns, so that nothing is added up between tiles.
at::Tensor product_with_transposed(const at::Tensor& g, const Nf4Weight& w) {
  return by_tiles(w.in, w.out, Nf4Weight::kBlock, [&](int64_t column, int64_t columns) {
    return kernels::mm(g, w.dequantized(g.scalar_type(), 0, w.out, column, columns));
  });
}

struct KeptWeight : torch::CustomClassHolder {
  explicit KeptWeight(Nf4Weight w) : weight(std::move(w)) {}
  Nf4Weight weight;  // its tensors are shared
};

struct Nf4LinearFunction : torch::autograd::Function<Nf4LinearFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const std::optional<at::Tensor>& bias,
                            const c10::intrusive_ptr<KeptWeight>& kept) {
    context->saved_data["kept"] = c10::IValue::make_capsule(kept);
    context->saved_data["bias"] = bias.has_value();
    return product(x, kept->weight, bias.value_or(at::Tensor()));
  }

  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto kept = c10::static_intrusive_pointer_cast<KeptWeight>(context->saved_data["kept"].toCapsule());
    const auto g = rows(grads[0]);
    at::Tensor grad_x, grad_bias;
    if (context->needs_input_grad(0)) {
      auto shape = grads[0].sizes().vec();
      shape.back() = kept->weight.in;
      grad_x = product_with_transposed(g, kept->weight).view(shape);
    }
    if (context->saved_data["bias"].toBool() && context->needs_input_grad(1)) grad_bias = g.sum(0);
    return {grad_x, grad_bias, at::Tensor()};
  }
};

}  // namespace

at::Tensor nf4_linear(const at::Tensor& x, const Nf4Weight& weight, const at::Tensor& bias) {
  const bool trained = x.requires_grad() || (bias.defined() && bias.requires_grad());
  if (!at::GradMode::is_enabled() || !trained) return product(x, weight, bias);
  return Nf4LinearFunction::apply(x, bias.defined() ? std::optional(bias) : std::nullopt,
                                  c10::make_intrusive<KeptWeight>(weight));
}

}  // namespace antiphon::nn
