#include <ATen/core/grad_mode.h>

#include <antiphon/base/error.h>
#include <antiphon/comm/test_group.h>
#include <antiphon/kernels/test_cuda.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/nn/linear/nf4_unpack.h>
#include <antiphon/nn/linear/nf4_weight.h>
#include <antiphon/nn/testing.h>

using namespace antiphon;
using namespace antiphon::nn;

TEST_CASE("nf4 keeps each block's largest value but for the rounding of its scale, and zeros") {
  const auto weight = random({96, 192}, 1);
  const auto w = Nf4Weight::of(weight);
  const auto blocks = weight.view({-1, 64}), kept = w.dequantized(at::kFloat).view({-1, 64});
  const auto largest = blocks.abs().amax(1);
  CHECK(relative_error(kept.abs().amax(1), largest) < 0.01);
  // The widest gap between two of the 16 numbers is 0.28 of the scale.
  CHECK(((kept - blocks).abs().amax(1) / largest).max().item<double>() < 0.16);
  CHECK((kept - blocks).square().mean().item<double>() / blocks.square().mean().item<double>() < 0.0095);
  CHECK(w.bytes() == 96 * 192 / 2 + 288 + 2 * 4 + 4);
  CHECK(Nf4Weight::of(at::zeros({3, 64})).dequantized(at::kFloat).abs().max().item<float>() == 0);
}

TEST_CASE("a box of an nf4 matrix is that of the whole, in both formats") {
  const auto w = Nf4Weight::of(random({33, 320}, 2));
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto whole = w.dequantized(dtype);
    CHECK(whole.scalar_type() == dtype);
    CHECK(at::equal(w.dequantized(dtype, 5, 20, 64, 128), whole.narrow(0, 5, 20).narrow(1, 64, 128)));
    CHECK(at::equal(whole, w.dequantized(at::kFloat).to(dtype)));
  }
}

TEST_CASE("nf4 by the operations that every device has is that of the CPU's kernel, to the bit") {
  const auto w = Nf4Weight::of(random({37, 448}, 3) * at::arange(1, 38).unsqueeze(1));
  for (const auto dtype : {at::kFloat, at::kBFloat16, at::kHalf})
    for (const Nf4Piece piece : {Nf4Piece{0, 37, 0, 448}, {5, 20, 64, 128}, {36, 1, 384, 64}}) {
      const auto scales = random({piece.rows * piece.columns / 64}, 4);
      CHECK(at::equal(nf4_unpacked(w, scales, dtype, piece), nf4_unpacked_by_operations(w, scales, dtype, piece)));
    }
}

TEST_CASE("nf4 on CUDA: numbers, values and gradients are those on the CPU") {
  if (const auto why = kernels::testing::no_cuda(); !why.empty()) SKIP(why);
  const auto matrix = random({96, 320}, 1);
  const auto here = Nf4Weight::of(matrix), there = Nf4Weight::of(matrix.cuda());
  CHECK(at::equal(here.values, there.values.cpu()));
  CHECK(at::equal(here.scales, there.scales.cpu()));
  for (const auto dtype : {at::kFloat, at::kBFloat16})
    CHECK(at::equal(here.dequantized(dtype), there.dequantized(dtype).cpu()));
  const auto x = random({5, 320}, 2).set_requires_grad(true), y = x.detach().cuda().set_requires_grad(true);
  const auto grad = random({5, 96}, 3);
  nf4_linear(x, here, {}).backward(grad), nf4_linear(y, there, {}).backward(grad.cuda());
  CHECK(relative_error(y.grad().cpu(), x.grad()) < 1e-5);
}

TEST_CASE(
    "an nf4 linear layer: values and gradients are those over the dequantised matrix, in one tile and in several") {
  for (const auto& [in, out] : {std::pair<int64_t, int64_t>{64, 48}, {2048, 4100}}) {
    Linear linear(in, out, true);
    linear.initialize(3, at::kCPU);
    linear.set_requires_grad(false);
    linear.quantize("nf4");
    CHECK(linear.is_quantized());
    CHECK(linear.weight.is_meta());
    const auto x = random({2, 5, in}, 4).set_requires_grad(true), again = x.detach().clone().set_requires_grad(true);
    const auto y = linear.forward(x), plain = at::linear(again, linear.dequantized(at::kFloat), linear.bias);
    CHECK(relative_error(y, plain) < 1e-6);
    const auto grad = random(y.sizes(), 5);
    y.backward(grad), plain.backward(grad);
    CHECK(relative_error(x.grad(), again.grad()) < 1e-6);
    const at::NoGradGuard guard;
    CHECK(relative_error(linear.forward(x.detach().narrow(1, 0, 1)), plain.narrow(1, 0, 1)) < 1e-6);
    CHECK(linear.forward(at::empty({0, in})).sizes() == at::IntArrayRef({0, out}));
  }
}

TEST_CASE("what processes keep of the parts of a matrix in nf4 are the parts of the whole, to the bit") {
  CHECK(comm::testing::run_group(2, "member keeps a part in nf4") == 0);
}

// Cut by rows, by columns, and uneven; scales of several of their groups.
TEST_CASE("member keeps a part in nf4", "[.]") {
  comm::Group group(comm::testing::my_place());
  const auto matrix = random({70, 768}, 5) * at::arange(1, 71).unsqueeze(1);
  const auto whole = Nf4Weight::of(matrix).dequantized(at::kFloat);
  const bool first = group.rank() == 0;
  for (const bool by_rows : {true, false}) {
    const int64_t begin = first ? 0 : (by_rows ? 30 : 256), size = by_rows ? (first ? 30 : 40) : (first ? 256 : 512);
    const Box box{{70, 768}, {by_rows ? begin : 0, by_rows ? 0 : begin}};
    const auto part = [&](const at::Tensor& x) { return x.narrow(by_rows ? 0 : 1, begin, size); };
    const auto w = Nf4Weight::of(part(matrix).contiguous(), box, &group);
    CHECK(at::equal(w.dequantized(at::kFloat), part(whole)));
    CHECK(at::equal(w.dequantized(at::kFloat, 3, 7, 64, 128), part(whole).narrow(0, 3, 7).narrow(1, 64, 128)));
  }
  group.wait_for_all();
}

TEST_CASE("a bias over nf4 is trained") {
  Linear linear(64, 16, true);
  linear.initialize(3, at::kCPU);
  linear.weight.set_requires_grad(false), linear.bias.set_requires_grad(true);
  linear.quantize("nf4");
  const auto x = random({7, 64}, 4), grad = random({7, 16}, 5);
  linear.forward(x).backward(grad);
  CHECK(relative_error(linear.bias.grad(), grad.sum(0)) < 1e-6);
}

TEST_CASE("what cannot be kept as nf4 says so") {
  CHECK_FALSE(Nf4Weight::fits(at::zeros({16, 32})));
  CHECK_THROWS_AS(Nf4Weight::of(at::zeros({16, 96})), Error);
}
