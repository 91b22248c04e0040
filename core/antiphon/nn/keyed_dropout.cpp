#include <antiphon/nn/keyed_dropout.h>

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/OpMathType.h>
#include <torch/csrc/autograd/custom_function.h>

#include <antiphon/base/mixed.h>
#include <antiphon/component/training_pass.h>
#include <antiphon/kernels/for_rows.h>

#include <utility>

namespace antiphon::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int kBits = 24;  // of a hash, as a number in [0, 2^24)

thread_local int64_t first_row_now = 0;

int64_t threshold_of(double p) { return static_cast<int64_t>(p * (1 << kBits)); }

bool kept(uint64_t key, int64_t index, int64_t threshold) {
  return static_cast<int64_t>(mixed(key, static_cast<uint64_t>(index)) >> (64 - kBits)) >= threshold;
}

// base/mixed.h with tensors: int64 wraps around as uint64 does, and its shifts are made to fill with zeros.
at::Tensor mixed_with(uint64_t key, const at::Tensor& values) {
  const auto shifted = [](const at::Tensor& x, int64_t by) {
    return x.bitwise_right_shift(by).bitwise_and((int64_t{1} << (64 - by)) - 1);
  };
  const auto constant = [](uint64_t x) { return static_cast<int64_t>(x); };
  auto hash = values + constant(key + 0x9e3779b97f4a7c15);
  hash = hash.bitwise_xor(shifted(hash, 30)) * constant(0xbf58476d1ce4e5b9);
  hash = hash.bitwise_xor(shifted(hash, 27)) * constant(0x94d049bb133111eb);
  return hash.bitwise_xor(shifted(hash, 31));
}

at::Tensor dropped(const at::Tensor& given, double p, uint64_t key, const DropoutPlace& place) {
  const auto x = given.contiguous();
  const int64_t columns = x.size(-1), rows = columns ? x.numel() / columns : 0;
  if (!x.is_cpu()) return x * composed_dropout_factors(rows, columns, p, key, place, x.options()).view(x.sizes());
  const int64_t whole = place.columns ? place.columns : columns, threshold = threshold_of(p);
  auto y = at::empty_like(x);
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, x.scalar_type(), "keyed_dropout", [&] {
    const auto* from = x.const_data_ptr<scalar_t>();
    auto* to = y.mutable_data_ptr<scalar_t>();
    using Number = at::opmath_type<scalar_t>;
    const auto factor = static_cast<Number>(1 / (1 - p));
    kernels::share_rows(rows, columns, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const int64_t first = (place.first_row + r) * whole + place.first_column;
        for (int64_t c = 0; c < columns; ++c)
          to[r * columns + c] = kept(key, first + c, threshold)
                                    ? static_cast<scalar_t>(static_cast<Number>(from[r * columns + c]) * factor)
                                    : scalar_t(0);
      }
    });
  });
  return y;
}

// The mask is made again in the backward pass: nothing is kept.
struct KeyedDropoutFunction : torch::autograd::Function<KeyedDropoutFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, double p, int64_t key, int64_t first_row,
                            int64_t first_column, int64_t columns) {
    context->saved_data["p"] = p, context->saved_data["key"] = key;
    context->saved_data["place"] = std::vector<int64_t>{first_row, first_column, columns};
    return dropped(x, p, static_cast<uint64_t>(key), {first_row, first_column, columns});
  }
  static variable_list backward(AutogradContext* context, variable_list grads) {
    const auto place = context->saved_data["place"].toIntVector();
    const auto key = static_cast<uint64_t>(context->saved_data["key"].toInt());
    return {dropped(grads[0], context->saved_data["p"].toDouble(), key, {place[0], place[1], place[2]}),
            {},
            {},
            {},
            {},
            {}};
  }
};

}  // namespace

uint64_t dropout_key(std::string_view site) {
  uint64_t key = TrainingPass::key();
  for (const char letter : site) key = mixed(key, static_cast<unsigned char>(letter));
  return key;
}

at::Tensor composed_dropout_factors(int64_t rows, int64_t columns, double p, uint64_t key, const DropoutPlace& place,
                                    const at::TensorOptions& options) {
  const auto counting = options.dtype(at::kLong).requires_grad(false);
  const auto r = at::arange(place.first_row, place.first_row + rows, counting);
  const auto c = at::arange(place.first_column, place.first_column + columns, counting);
  const auto index = r.unsqueeze(1) * (place.columns ? place.columns : columns) + c;
  const auto number = mixed_with(key, index).bitwise_right_shift(64 - kBits).bitwise_and((1 << kBits) - 1);
  return number.ge(threshold_of(p)).to(options.dtype()) * (1 / (1 - p));
}

DropoutRows::DropoutRows(int64_t first) : before_(std::exchange(first_row_now, first)) {}
DropoutRows::~DropoutRows() { first_row_now = before_; }
int64_t DropoutRows::first() { return first_row_now; }

at::Tensor keyed_dropout(const at::Tensor& x, double p, uint64_t key, const DropoutPlace& place) {
  if (p >= 1) return x * 0;
  return KeyedDropoutFunction::apply(x, p, static_cast<int64_t>(key), place.first_row + DropoutRows::first(),
                                     place.first_column, place.columns);
}

}  // namespace antiphon::nn
