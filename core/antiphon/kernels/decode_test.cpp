// The decoding kernels of every instruction set that this processor has, against plain loops in double precision.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <antiphon/kernels/decode.h>
#include <antiphon/kernels/for_rows.h>

#include <catch2/catch_test_macros.hpp>
#include <mutex>
#include <set>
#include <thread>

namespace antiphon::kernels {
namespace baseline {
const DecodeKernels<float>& float_decode_table();
const DecodeKernels<uint16_t>& bfloat16_decode_table();
}  // namespace baseline
namespace avx2 {
const DecodeKernels<float>& float_decode_table();
const DecodeKernels<uint16_t>& bfloat16_decode_table();
}  // namespace avx2
}  // namespace antiphon::kernels

using namespace antiphon::kernels;

namespace {

// Runs check(kernels, type, dtype, tolerance) for each set of kernels that runs here, in both dtypes.
template <class Check>
void for_all(const Check& check) {
  constexpr double kFloatTolerance = 2e-6, kBfloat16Tolerance = 1e-2;
  check(baseline::float_decode_table(), float{}, at::kFloat, kFloatTolerance);
  check(baseline::bfloat16_decode_table(), uint16_t{}, at::kBFloat16, kBfloat16Tolerance);
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    check(avx2::float_decode_table(), float{}, at::kFloat, kFloatTolerance);
    check(avx2::bfloat16_decode_table(), uint16_t{}, at::kBFloat16, kBfloat16Tolerance);
  }
#endif
  check(decode_kernels<float>(), float{}, at::kFloat, kFloatTolerance);
  check(decode_kernels<uint16_t>(), uint16_t{}, at::kBFloat16, kBfloat16Tolerance);
}

at::Tensor random(at::IntArrayRef sizes, uint64_t seed, at::ScalarType dtype = at::kFloat) {
  return at::randn(sizes, at::detail::createCPUGenerator(seed)).to(dtype);
}

double error(const at::Tensor& got, const at::Tensor& expected) {
  const auto e = expected.to(at::kDouble);
  return ((got.to(at::kDouble) - e).abs().max() / e.abs().max()).item<double>();
}

struct Quantised {
  at::Tensor values, scales, dense;  // dense [out, in] in double precision, by the layout that decode.h describes
  WeightFormat format;
  Matrix matrix() const {
    return {format, values.const_data_ptr(), data<uint16_t>(scales), dense.size(0), dense.size(1)};
  }
};

Quantised quantised(WeightFormat format, int64_t out, int64_t in) {
  const bool narrow = format == WeightFormat::int4;
  auto generator = at::detail::createCPUGenerator(3);
  Quantised q{at::randint(256, {out / kPanel, narrow ? in / 2 : in, kPanel}, generator).to(at::kByte),
              random({out / kPanel, in / kGroup, kPanel}, 4, at::kBFloat16), at::empty({out, in}, at::kDouble), format};
  for (int64_t row = 0; row < out; ++row)
    for (int64_t k = 0; k < in; ++k) {
      const auto byte = q.values[row / kPanel][narrow ? k / 2 : k][row % kPanel].item<uint8_t>();
      const int value = narrow ? (k % 2 ? byte >> 4 : byte & 15) - 8 : static_cast<int8_t>(byte);
      q.dense[row][k] = value * q.scales[row / kPanel][k / kGroup][row % kPanel].item<double>();
    }
  return q;
}

template <class T, class Kernels>
void check_product(const Kernels& kernels, const Matrix& matrix, const at::Tensor& dense, int64_t n,
                   at::ScalarType dtype, double tolerance) {
  const auto x = random({n, matrix.in}, 7), bias = random({matrix.out}, 8, dtype),
             residual = random({n, matrix.out}, 9, dtype);
  auto y = at::full({n, matrix.out}, 1e9).to(dtype);
  Product<T> product{matrix, data<float>(x), n, data<T>(bias), data<T>(residual), data<T>(y), matrix.out};
  const int64_t middle = matrix.out / 2 / kPanel * kPanel;
  kernels.multiply(product, 0, middle), kernels.multiply(product, middle, matrix.out);
  const auto expected = x.to(at::kDouble).mm(dense.to(at::kDouble).t()) + bias.to(at::kDouble);
  CHECK(error(y, expected + residual.to(at::kDouble)) < tolerance);
  product.bias = nullptr, product.residual = nullptr;
  kernels.multiply(product, 0, matrix.out);
  CHECK(error(y, x.to(at::kDouble).mm(dense.to(at::kDouble).t())) < tolerance);
  // Bit for bit what each row gives alone: a text does not depend on those beside it.
  auto alone = at::empty({1, matrix.out}, dtype);
  for (int64_t i = 0; i < n; ++i) {
    kernels.multiply({matrix, data<float>(x) + i * matrix.in, 1, nullptr, nullptr, data<T>(alone), matrix.out}, 0,
                     matrix.out);
    CHECK(alone[0].equal(y[i]));
  }
}

}  // namespace

TEST_CASE("a few rows times a matrix row by row") {
  for_all([](const auto& kernels, auto type, at::ScalarType dtype, double tolerance) {
    using T = decltype(type);
    const auto format = dtype == at::kFloat ? WeightFormat::float32 : WeightFormat::bfloat16;
    for (const int64_t in : {2, 6, 16, 70, 578})  // fewer than a register holds, one, several and a remainder
      for (const int64_t out : {1, 5, 37})
        for (const int64_t n : {1, 2, 3, 4, 7, 8, 15}) {
          const auto weight = random({out, in}, 1, dtype);
          check_product<T>(kernels, {format, weight.const_data_ptr(), nullptr, out, in}, weight, n, dtype, tolerance);
        }
  });
}

TEST_CASE("a few rows times a quantised matrix, and the matrix itself") {
  for_all([](const auto& kernels, auto type, at::ScalarType dtype, double tolerance) {
    using T = decltype(type);
    for (const auto format : {WeightFormat::int8, WeightFormat::int4}) {
      const auto q = quantised(format, 48, 96);
      for (const int64_t n : {1, 2, 3, 4, 7, 8}) check_product<T>(kernels, q.matrix(), q.dense, n, dtype, tolerance);
      const auto y = at::zeros({96, 48}, dtype);
      kernels.unpack(q.matrix(), data<T>(y), 16, 48);
      CHECK(error(y.t().narrow(0, 16, 32), q.dense.narrow(0, 16, 32)) < tolerance);
      CHECK(y.t().narrow(0, 0, 16).count_nonzero().item<int64_t>() == 0);
    }
  });
}

// Squared errors [out, groups] as decode.h weighs them.
at::Tensor weighed_errors(const at::Tensor& got, const at::Tensor& groups) {
  return ((got - groups).square() * groups.abs()).sum(-1);
}

// The least that one of the scales that decode.h names gives a group.
at::Tensor least_errors(const at::Tensor& groups, double limit, int tries) {
  at::Tensor least;
  const auto far = groups.gather(-1, groups.abs().argmax(-1, true));
  for (int i = 0; i < tries; ++i) {
    const auto whole = i % 2 == 0 ? far.abs() / limit : far / (-limit - 1);
    const auto scale = (whole * (1 + 0.025 * (i / 2))).to(at::kBFloat16).to(at::kDouble);
    const auto q = (groups / scale.where(scale.abs() > 1e-30, 1e-30)).round().clamp(-limit - 1, limit);
    const auto error = weighed_errors(q * scale, groups);
    least = i == 0 ? error : at::minimum(least, error);
  }
  return least;
}

TEST_CASE("a matrix is quantised with the best of the scales") {
  for_all([](const auto& kernels, auto type, at::ScalarType dtype, double) {
    using T = decltype(type);
    for (const auto format : {WeightFormat::int8, WeightFormat::int4}) {
      const bool narrow = format == WeightFormat::int4;
      const auto weight = random({48, 96}, 5, dtype).mul_(0.02);
      weight[17].zero_();
      const auto values = at::zeros({3, narrow ? 48 : 96, kPanel}, at::kByte),
                 scales = at::zeros({3, 3, kPanel}, at::kBFloat16), dense = at::zeros({96, 48}, at::kFloat);
      kernels.pack(data<T>(weight), 96, format, data<uint8_t>(values), data<uint16_t>(scales), 16, 48);
      CHECK(values[0].count_nonzero().item<int64_t>() + scales[0].count_nonzero().item<int64_t>() == 0);
      decode_kernels<float>().unpack({format, values.const_data_ptr(), data<uint16_t>(scales), 48, 96},
                                     data<float>(dense), 16, 48);
      const auto groups = weight.to(at::kDouble).narrow(0, 16, 32).view({32, 3, kGroup});
      const auto got = weighed_errors(dense.t().narrow(0, 16, 32).reshape({32, 3, kGroup}).to(at::kDouble), groups);
      const auto least = least_errors(groups, narrow ? 7 : 127, narrow ? 16 : 1);
      CHECK((got <= least * 1.0001).all().item<bool>());
      CHECK((got >= least * 0.9999).all().item<bool>());
    }
  });
}

TEST_CASE("a sum with a multiple") {
  for_all([](const auto& kernels, auto type, at::ScalarType dtype, double) {
    using T = decltype(type);
    for (const int64_t size : {1, 16, 70}) {
      const auto y = random({size}, 1, dtype), x = random({size}, 2, dtype);
      const auto expected = y * 0.22 + x;  // of LibTorch, which rounds the product, too
      kernels.add(data<T>(y), 0.22f, data<T>(x), size);
      CHECK(error(y, expected) < (dtype == at::kFloat ? 2e-7 : 1e-12));
    }
  });
}

TEST_CASE("attention of one query") {
  for_all([](const auto& kernels, auto type, at::ScalarType dtype, double tolerance) {
    using T = decltype(type);
    for (const int64_t length : {1, 7, 100})
      for (const int64_t size : {2, 8, 64, 80}) {
        const auto q = random({size}, 1, dtype), keys = random({length, size}, 2, dtype),
                   values = random({length, size}, 3, dtype);
        const auto scores = 0.3 * keys.to(at::kDouble).mv(q.to(at::kDouble));
        const auto expected = [&](const at::Tensor& of) { return values.to(at::kDouble).t().mv(at::softmax(of, 0)); };
        // In one block; in blocks of 4, of which the first begins in the middle; the last block first in memory.
        for (const int64_t block : {length, int64_t{4}}) {
          const int64_t first = block == 4 ? 3 : 0, blocks = (first + length + block - 1) / block;
          const auto in_blocks = [&](const at::Tensor& x) {
            const auto all = at::full({blocks * block, size}, 1e4, x.options());
            all.narrow(0, first, length).copy_(x);
            return all.view({blocks, block, size}).flip(0).contiguous();
          };
          const auto kept_keys = in_blocks(keys), kept_values = in_blocks(values);
          std::vector<const T*> k, v;
          for (int64_t i = blocks; i-- > 0;) k.push_back(data<T>(kept_keys[i])), v.push_back(data<T>(kept_values[i]));
          const auto y = at::empty_like(q), scratch = at::empty({length + 2 * size}, at::kFloat);
          for (const double cap : {0.0, 0.4, 50.0}) {
            kernels.attend(data<T>(q), {k.data(), v.data(), block, first, length}, size, 0.3f, static_cast<float>(cap),
                           data<float>(scratch), data<T>(y));
            CHECK(error(y, expected(cap > 0 ? cap * (scores / cap).tanh() : scores)) < tolerance);
          }
        }
      }
  });
}

TEST_CASE("work on rows is shared by all threads") {
  const int before = at::get_num_threads();
  at::set_num_threads(2);
  std::set<std::thread::id> threads;
  std::vector<int> done(1000, 0);
  std::mutex mutex;
  share_rows(1000, 100000, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) ++done[static_cast<size_t>(i)];
    const std::lock_guard lock(mutex);
    threads.insert(std::this_thread::get_id());
  });
  at::set_num_threads(before);
  CHECK(threads.size() == 2);
  CHECK(done == std::vector<int>(1000, 1));
}
