#include <antiphon/nn/linear/nf4_weight.h>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/custom_class.h>

#include <antiphon/base/error.h>
#include <antiphon/kernels/for_rows.h>
#include <antiphon/kernels/mm.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/nn/linear/of_weight.h>
#include <antiphon/nn/whole_of_parts.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace antiphon::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kTile = 1 << 22;  // values that are in full width at a time
constexpr float kLeast = 1e-38f;

constexpr std::array<float, 16> kNormalFloats{-1.0f,           -0.69619280099f, -0.52507305145f, -0.39491748809f,
                                              -0.28444138169f, -0.18477343022f, -0.09105003625f, 0.0f,
                                              0.07958029955f,  0.16093020141f,  0.24611230194f,  0.33791524171f,
                                              0.44070982933f,  0.56261700391f,  0.72295683622f,  1.0f};

// Dynamic 8-bit numbers of both signs (Dettmers et al. 2022, section 1.3), [256] float32, ascending: 0, 1, and for each
// decade the middles of 1, 2, ... 64 equal parts of its upper nine tenths; rounded as functional.create_dynamic_map.
const at::Tensor& dynamic_numbers() {
  static const auto* numbers = [] {
    auto* made = new at::Tensor;
    make_ordinary([&] {
      std::vector<at::Tensor> all{at::tensor({0.0f, 1.0f})};
      for (int decade = 0; decade < 7; ++decade) {
        const auto ends = at::linspace(0.1, 1, (1 << decade) + 1, at::kFloat);
        const auto middles = (ends.slice(0, 0, -1) + ends.slice(0, 1)) / 2.0 * std::pow(10.0, decade - 6);
        all.push_back(middles), all.push_back(-middles);
      }
      *made = std::get<0>(at::cat(all).sort());
    });
    return made;
  }();
  return *numbers;
}

at::Tensor between(const at::Tensor& numbers) { return (numbers.slice(0, 0, -1) + numbers.slice(0, 1)) / 2; }

// The scales of the blocks of some rows and columns, [rows * columns / kBlock] float32.
at::Tensor scales_of(const Nf4Weight& w, int64_t row, int64_t rows, int64_t column, int64_t columns) {
  constexpr auto block = Nf4Weight::kBlock;
  const auto cut = [&](const at::Tensor& all, int64_t first) {
    return all.view({-1, w.in / block}).narrow(0, first, rows).narrow(1, column / block, columns / block).reshape(-1);
  };
  const auto from = [](int64_t first, int64_t count) { return at::arange(first, first + count, at::kLong); };
  const auto places = from(w.first_row + row, rows).unsqueeze(1) * w.blocks_in_row +
                      from(w.first_block + column / block, columns / block);
  const auto numbers = dynamic_numbers().index_select(0, cut(w.scales, row).to(at::kInt));
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
  w.scales =
      at::bucketize(relative, between(dynamic_numbers()), /*out_int32=*/true).to(at::kByte).view(-1).narrow(0, 0, n);
  w.scales = w.scales.contiguous();
}

template <class T>
void unpack(const Nf4Weight& w, const float* scales, T* y, int64_t row, int64_t rows, int64_t column, int64_t columns) {
  const auto* values = w.values.const_data_ptr<uint8_t>();
  kernels::share_rows(rows, columns, [&](int64_t begin, int64_t end) {
    std::array<T, 16> table;
    for (int64_t i = begin; i < end; ++i)
      for (int64_t j = 0; j < columns; j += Nf4Weight::kBlock) {
        const int64_t first = (row + i) * w.in + column + j;
        const float scale = scales[(i * columns + j) / Nf4Weight::kBlock];
        for (size_t k = 0; k < table.size(); ++k) table[k] = static_cast<T>(kNormalFloats[k] * scale);
        auto* to = y + i * columns + j;
        for (int64_t k = 0; k < Nf4Weight::kBlock / 2; ++k) {
          const uint8_t two = values[first / 2 + k];
          to[2 * k] = table[two >> 4], to[2 * k + 1] = table[two & 15];
        }
      }
  });
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
  w.values = at::empty({w.out, w.in / 2}, at::kByte);
  const auto scales = at::empty({w.out, w.in / kBlock}, at::kFloat);
  const auto bounds = between(at::tensor(at::ArrayRef<float>(kNormalFloats.data(), kNormalFloats.size())));
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
  if (dtype == at::kHalf) return dequantized(at::kFloat, row, rows, column, columns).to(at::kHalf);
  const auto y = at::empty({rows, columns}, values.options().dtype(dtype));
  const auto all = scales_of(*this, row, rows, column, columns);
  if (dtype == at::kFloat)
    unpack(*this, all.const_data_ptr<float>(), y.mutable_data_ptr<float>(), row, rows, column, columns);
  else
    unpack(*this, all.const_data_ptr<float>(), y.mutable_data_ptr<at::BFloat16>(), row, rows, column, columns);
  return y;
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
