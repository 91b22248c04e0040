#include <antiphon/nn/linear/nf4_unpack.h>

#include <ATen/ATen.h>

#include <antiphon/kernels/for_rows.h>
#include <antiphon/nn/linear/of_weight.h>

#include <array>
#include <cmath>
#include <mutex>

namespace antiphon::nn {
namespace {

constexpr std::array<float, 16> kNormalFloats{-1.0f,           -0.69619280099f, -0.52507305145f, -0.39491748809f,
                                              -0.28444138169f, -0.18477343022f, -0.09105003625f, 0.0f,
                                              0.07958029955f,  0.16093020141f,  0.24611230194f,  0.33791524171f,
                                              0.44070982933f,  0.56261700391f,  0.72295683622f,  1.0f};

// A constant tensor, and its copies on other devices: each is made once, since a copy waits for the device.
class Constant {
 public:
  explicit Constant(const std::function<at::Tensor()>& make) : make_(make) {}
  at::Tensor on(at::Device device) {
    const std::scoped_lock lock(mutex_);
    for (const auto& copy : copies_)
      if (copy.device() == device) return copy;
    make_ordinary([&] { copies_.push_back(make_().to(device)); });
    return copies_.back();
  }

 private:
  std::function<at::Tensor()> make_;
  std::mutex mutex_;
  std::vector<at::Tensor> copies_;
};

// 0, 1, and for each decade the middles of 1, 2, ... 64 equal parts of its upper nine tenths; rounded as
// functional.create_dynamic_map.
at::Tensor make_dynamic_numbers() {
  std::vector<at::Tensor> all{at::tensor({0.0f, 1.0f})};
  for (int decade = 0; decade < 7; ++decade) {
    const auto ends = at::linspace(0.1, 1, (1 << decade) + 1, at::kFloat);
    const auto middles = (ends.slice(0, 0, -1) + ends.slice(0, 1)) / 2.0 * std::pow(10.0, decade - 6);
    all.push_back(middles), all.push_back(-middles);
  }
  return std::get<0>(at::cat(all).sort());
}

template <class T>
void unpack(const Nf4Weight& w, const float* scales, T* y, const Nf4Piece& piece) {
  const auto [row, rows, column, columns] = piece;
  const auto* values = w.values.const_data_ptr<uint8_t>();
  kernels::share_rows(rows, columns, [&, row = row, column = column, columns = columns](int64_t begin, int64_t end) {
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

at::Tensor normal_floats(at::Device device) {
  static auto* constant =
      new Constant([] { return at::tensor(at::ArrayRef<float>(kNormalFloats.data(), kNormalFloats.size())); });
  return constant->on(device);
}

at::Tensor dynamic_numbers(at::Device device) {
  static auto* constant = new Constant(make_dynamic_numbers);
  return constant->on(device);
}

at::Tensor nf4_unpacked_by_operations(const Nf4Weight& w, const at::Tensor& scales, at::ScalarType dtype,
                                      const Nf4Piece& piece) {
  const auto two = w.values.narrow(0, piece.row, piece.rows).narrow(1, piece.column / 2, piece.columns / 2);
  const auto codes = at::stack({two.bitwise_right_shift(4), two.bitwise_and(15)}, -1).view(-1).to(at::kInt);
  const auto numbers = normal_floats(w.values.device()).index_select(0, codes).view({-1, Nf4Weight::kBlock});
  return (numbers * scales.unsqueeze(1)).to(dtype).view({piece.rows, piece.columns});
}

at::Tensor nf4_unpacked(const Nf4Weight& w, const at::Tensor& scales, at::ScalarType dtype, const Nf4Piece& piece) {
  if (!w.values.is_cpu()) return nf4_unpacked_by_operations(w, scales, dtype, piece);
  if (dtype == at::kHalf) return nf4_unpacked(w, scales, at::kFloat, piece).to(at::kHalf);
  const auto y = at::empty({piece.rows, piece.columns}, w.values.options().dtype(dtype));
  if (dtype == at::kFloat)
    unpack(w, scales.const_data_ptr<float>(), y.mutable_data_ptr<float>(), piece);
  else
    unpack(w, scales.const_data_ptr<float>(), y.mutable_data_ptr<at::BFloat16>(), piece);
  return y;
}

}  // namespace antiphon::nn
