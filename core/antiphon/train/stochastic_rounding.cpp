#include <antiphon/train/stochastic_rounding.h>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include <antiphon/base/mixed.h>

#include <algorithm>
#include <bit>
#include <vector>

namespace antiphon::train {
namespace {

constexpr int64_t kAtOnce = 1 << 20;  // values whose hashes are alive at once
constexpr uint64_t kApart = 0;        // mixed into a key: places after one key are not those before the next
constexpr uint32_t kExponent = 0x7F800000;

// Where the values of a part lie in the whole: those of a row one after the other.
class Places {
 public:
  Places(at::IntArrayRef sizes, const std::optional<Box>& box) : sizes_(sizes.vec()), strides_(sizes_.size(), 1) {
    const auto whole = box ? box->whole : sizes_;
    for (size_t d = sizes_.size(); d-- > 1;) strides_[d - 1] = strides_[d] * whole[d];
    for (size_t d = 0; box && d < sizes_.size(); ++d) first_ += box->begin[d] * strides_[d];
  }
  int64_t in_row() const { return sizes_.empty() ? 1 : sizes_.back(); }
  // Of the first value of a row of the part.
  int64_t of_row(int64_t row) const {
    int64_t place = first_;
    for (size_t d = sizes_.empty() ? 0 : sizes_.size() - 1; d-- > 0; row /= sizes_[d])
      place += row % sizes_[d] * strides_[d];
    return place;
  }
  // Of values [begin, begin + size) of the part, int64.
  at::Tensor of_values(int64_t begin, int64_t size, const at::TensorOptions& options) const {
    auto rest = at::arange(begin, begin + size, options.dtype(at::kLong));
    auto places = at::full({size}, first_, rest.options());
    for (size_t d = sizes_.size(); d-- > 0; rest = rest.div(sizes_[d], "floor"))
      places += rest.remainder(sizes_[d]) * strides_[d];
    return places;
  }

 private:
  std::vector<int64_t> sizes_, strides_;
  int64_t first_ = 0;
};

// The lower half of a float32 is what bfloat16 lacks: a carry out of it, by chance, is a step up.
uint16_t rounded(float value, uint64_t key, uint64_t place) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if ((bits & kExponent) == kExponent) return c10::BFloat16(value).x;
  return static_cast<uint16_t>((bits + (mixed(key, place) >> 48)) >> 16);
}

// base/mixed.h with tensors: int64 wraps around as uint64 does, and its shifts are made to fill with zeros.
at::Tensor upper_bits(uint64_t key, const at::Tensor& places) {
  const auto shifted = [](const at::Tensor& x, int64_t by) {
    return x.bitwise_right_shift(by).bitwise_and((int64_t{1} << (64 - by)) - 1);
  };
  const auto constant = [](uint64_t x) { return static_cast<int64_t>(x); };
  auto hash = places + constant(key + 0x9e3779b97f4a7c15);
  hash = hash.bitwise_xor(shifted(hash, 30)) * constant(0xbf58476d1ce4e5b9);
  hash = hash.bitwise_xor(shifted(hash, 27)) * constant(0x94d049bb133111eb);
  return shifted(hash.bitwise_xor(shifted(hash, 31)), 48);
}

}  // namespace

void round_stochastically(const at::Tensor& x, at::Tensor& to, uint64_t key, const std::optional<Box>& box) {
  if (!x.is_cpu() || !to.is_contiguous()) return round_by_operations(x, to, key, box);
  const Places places(x.sizes(), box);
  const auto rows = x.contiguous();
  const auto apart = mixed(key, kApart);
  const auto* from = rows.const_data_ptr<float>();
  auto* out = to.mutable_data_ptr<at::BFloat16>();
  const int64_t size = places.in_row();
  at::parallel_for(0, rows.numel(), 1 << 14, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end;) {
      const int64_t row = i / size, last = std::min(end, (row + 1) * size), apart_by = places.of_row(row) - row * size;
      for (; i < last; ++i) out[i].x = rounded(from[i], apart, static_cast<uint64_t>(i + apart_by));
    }
  });
}

void round_by_operations(const at::Tensor& x, at::Tensor& to, uint64_t key, const std::optional<Box>& box) {
  c10::AutoGradMode no_grad(false);
  const auto all = x.contiguous().view(-1);
  const auto apart = mixed(key, kApart);
  auto out = at::empty({all.size(0)}, to.options());
  for (int64_t begin = 0; begin < all.size(0); begin += kAtOnce) {
    const auto values = all.narrow(0, begin, std::min(kAtOnce, all.size(0) - begin));
    const auto places = Places(x.sizes(), box).of_values(begin, values.size(0), x.options());
    const auto bits = values.view(at::kInt);
    const auto carried = (bits + upper_bits(apart, places).to(at::kInt)).bitwise_and(static_cast<int32_t>(0xFFFF0000));
    const auto finite = bits.bitwise_and(static_cast<int32_t>(kExponent)).ne(static_cast<int32_t>(kExponent));
    out.narrow(0, begin, values.size(0)).copy_(at::where(finite, carried.view(at::kFloat), values));
  }
  to.copy_(out.view(x.sizes()));
}

}  // namespace antiphon::train
