// Every CUDA kernel against the composition of LibTorch's operations in float32 on the CPU: the kernels' source
// emulated on the CPU, and the kernels themselves if there is a device.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <antiphon/kernels/composed.h>
#include <antiphon/kernels/cuda/bind.h>
#include <antiphon/kernels/test_cuda.h>
#include <catch2/catch_test_macros.hpp>

using namespace antiphon::kernels;

// The library launches on a stream; here the launch runs at once.
void antiphon::kernels::cuda::launch_on(const at::Tensor&, const std::function<void(cudaStream_t)>& body) {
  body(nullptr);
}

namespace {

const CudaTable& emulated() {
  static const CudaTable table = cuda::bound_table();
  return table;
}

struct Subject {
  const CudaTable* table;
  at::Device device;
  at::ScalarType dtype;
  double tolerance;

  at::Tensor give(const at::Tensor& x) const { return x.to(device, dtype); }
  at::Tensor empty(at::IntArrayRef sizes) const { return at::empty(sizes, at::TensorOptions(device).dtype(dtype)); }
  at::Tensor floats(at::IntArrayRef sizes) const {
    return at::empty(sizes, at::TensorOptions(device).dtype(at::kFloat));
  }
};

std::vector<Subject> subjects(const CudaTable& table, at::Device device) {
  return {
      {&table, device, at::kFloat, 4e-6}, {&table, device, at::kBFloat16, 1.2e-2}, {&table, device, at::kHalf, 1.5e-3}};
}

at::Tensor random(at::IntArrayRef sizes, uint64_t seed, double scale = 1) {
  auto generator = at::detail::createCPUGenerator(seed);
  // Rounded to bfloat16, and none so small that float16 has fewer digits for it: the reference sees the same numbers.
  const auto x = (at::randn(sizes, generator) * scale).to(at::kBFloat16).to(at::kFloat);
  return x * x.abs().ge(1.0 / (1 << 14));
}

// Largest difference, relative to the largest expected value.
double error(const at::Tensor& got, const at::Tensor& expected) {
  REQUIRE(got.sizes() == expected.sizes());
  if (expected.numel() == 0) return 0;
  const auto scale = expected.abs().max().clamp_min(1e-6);
  return ((got.to(at::kCPU, at::kFloat) - expected).abs().max() / scale).item<double>();
}

// The same values at an address that is not a multiple of 16 bytes.
at::Tensor unaligned(const at::Tensor& x) {
  auto room = at::empty({x.numel() + 1}, x.options());
  auto moved = room.narrow(0, 1, x.numel()).view(x.sizes());
  moved.copy_(x);
  return moved;
}

at::Tensor longs(const Subject& s, const std::vector<int64_t>& values) {
  return at::tensor(values, at::kLong).to(s.device);
}

void rms_norm_and_gradients(const Subject& s) {
  INFO("dtype " << s.dtype);
  for (const int64_t rows : {0, 1, 5})
    for (const int64_t width : {2, 6, 64, 70, 578, 4104}) {
      INFO("rows " << rows << ", width " << width);
      const auto x = random({rows, width}, 1, 3), weight = random({width}, 2), grad = random({rows, width}, 3);
      const auto expected = composed::rms_norm(x, weight, 1e-5);
      const auto y = s.empty({rows, width}), grad_x = s.empty({rows, width}), rstd = s.floats({rows, 1});
      s.table->rms_norm(s.give(x), s.give(weight), y, rstd, 1e-5);
      CHECK(error(y, expected.y) < s.tolerance);
      CHECK(error(rstd, expected.rstd) < 4e-6);
      s.table->rms_norm_backward(s.give(grad), s.give(x), s.give(weight), rstd, grad_x);
      CHECK(error(grad_x, composed::rms_norm_backward(grad, x, weight, expected.rstd)) < s.tolerance);
      const auto partial = s.floats({std::min<int64_t>(rows, 3), width});
      s.table->rms_norm_weight_backward(s.give(grad), s.give(x), rstd, partial);
      CHECK(error(partial.sum(0), composed::rms_norm_weight_backward(grad, x, expected.rstd, at::kFloat)) < 1e-5);
      if (width != 64) continue;
      s.table->rms_norm(unaligned(s.give(x)), s.give(weight), y, rstd, 1e-5);
      CHECK(error(y, expected.y) < s.tolerance);
    }
}

void rope_there_and_back(const Subject& s) {
  INFO("dtype " << s.dtype);
  struct Shape {
    int64_t tokens, heads, head_size, rotary;
  };
  for (const auto [tokens, heads, size, rotary] : std::vector<Shape>{{4, 3, 64, 64},
                                                                     {3, 2, 6, 6},
                                                                     {2, 3, 70, 70},
                                                                     {5, 1, 128, 64},
                                                                     {4, 2, 22, 8},
                                                                     {0, 4, 64, 64},
                                                                     {65, 8, 80, 32}}) {
    INFO("head " << size << ", rotary " << rotary);
    const auto x = random({tokens, heads, size}, 1), cos = random({tokens, rotary}, 2),
               sin = random({tokens, rotary}, 3);
    const auto y = s.empty(x.sizes());
    for (const double sign : {1.0, -1.0}) {
      s.table->rope(s.give(x), s.give(cos), s.give(sin), y, sign);
      CHECK(error(y, composed::rope(x, cos, sin, sign)) < s.tolerance);
    }
  }
}

void swiglu_and_gradients(const Subject& s) {
  INFO("dtype " << s.dtype);
  for (const int64_t n : {0, 1, 7, 64, 70, 5003}) {
    INFO(n << " elements");
    const auto gate = random({n}, 1, 40), up = random({n}, 2), grad = random({n}, 3);
    const auto y = s.empty({n}), grad_gate = s.empty({n}), grad_up = s.empty({n});
    s.table->swiglu(s.give(gate), s.give(up), y);
    CHECK(error(y, composed::swiglu(gate, up)) < s.tolerance);
    s.table->swiglu_backward(s.give(grad), s.give(gate), s.give(up), grad_gate, grad_up);
    const auto [of_gate, of_up] = composed::swiglu_backward(grad, gate, up);
    CHECK(error(grad_gate, of_gate) < s.tolerance);
    CHECK(error(grad_up, of_up) < s.tolerance);
    s.table->swiglu(unaligned(s.give(gate)), s.give(up), y);
    CHECK(error(y, composed::swiglu(gate, up)) < s.tolerance);
  }
}

void cross_entropy_in_place(const Subject& s) {
  INFO("dtype " << s.dtype);
  for (const int64_t vocabulary : {1, 7, 64, 1000, 12345})
    for (const int64_t rows : {0, 3}) {
      INFO("vocabulary " << vocabulary);
      auto logits = random({rows, vocabulary}, 1, 20);
      if (vocabulary > 8) logits.narrow(1, 0, 4).fill_(-INFINITY);
      std::vector<int64_t> labels(static_cast<size_t>(rows), vocabulary - 1);
      const auto expected = composed::cross_entropy(logits, at::tensor(labels, at::kLong), true);
      const auto loss = s.floats({rows}), mine = s.give(logits).clone();
      s.table->cross_entropy(mine, longs(s, labels), loss, false);
      CHECK(error(loss, expected.token_loss) < 4e-6);
      CHECK(at::equal(mine.to(at::kCPU, at::kFloat), logits));
      s.table->cross_entropy(mine, longs(s, labels), loss, true);
      CHECK(error(loss, expected.token_loss) < 4e-6);
      CHECK(error(mine, expected.grad) < s.tolerance);
    }
}

void cross_entropy_of_no_number(const Subject& s) {
  INFO("dtype " << s.dtype);
  auto logits = random({3, 70}, 1);
  logits[0][3] = NAN;
  const auto loss = s.floats({3}), mine = s.give(logits).clone();
  s.table->cross_entropy(mine, longs(s, {5, 70, 6}), loss, true);
  CHECK(at::equal(loss.isnan().to(at::kCPU), at::tensor(std::vector<int64_t>{1, 1, 0}).to(at::kBool)));
  CHECK(mine[0].isnan().all().item<bool>());
  CHECK_FALSE(mine[2].isnan().any().item<bool>());
}

void decode_over_mixed_lengths(const Subject& s) {
  INFO("dtype " << s.dtype);
  struct Shape {
    int64_t heads, kv_heads, head_size, capacity, window;
  };
  for (const auto [heads, kv_heads, size, capacity, window] : std::vector<Shape>{{4, 2, 64, 40, 0},
                                                                                 {3, 1, 64, 300, 0},
                                                                                 {8, 8, 20, 33, 0},
                                                                                 {8, 2, 128, 300, 0},
                                                                                 {8, 1, 80, 140, 50},
                                                                                 {2, 2, 256, 9, 4},
                                                                                 {16, 2, 128, 20, 0}}) {
    INFO("heads " << heads << "/" << kv_heads << " of " << size << ", capacity " << capacity << ", window " << window);
    const auto q = random({3, heads, size}, 1), k = random({3, kv_heads, size}, 2), v = random({3, kv_heads, size}, 3);
    // Blocks of 7 tokens, in an order of their own for each row; a row that is short has fewer.
    const int64_t block_size = 7, most = (capacity + block_size - 1) / block_size, all = 3 * most + 1;
    const auto keys = random({all, kv_heads, block_size, size}, 4),
               values = random({all, kv_heads, block_size, size}, 5);
    const std::vector<int64_t> lengths{capacity / 2, 0, capacity - 1};
    std::vector<int64_t> blocks, slots;
    for (int64_t i = 0; i < 3 * most; ++i) blocks.push_back(i % most * 3 + 2 - i / most);
    for (int64_t i = 0; i < 3; ++i) {
      const auto length = lengths[static_cast<size_t>(i)];
      slots.push_back(blocks[static_cast<size_t>(i * most + length / block_size)] * block_size + length % block_size);
    }
    const auto of_rows = [&](const at::Tensor& x) { return x.view({3, most}); };
    const auto b = of_rows(at::tensor(blocks, at::kLong)), l = at::tensor(lengths, at::kLong);
    const auto mine_k = s.give(keys).clone(), mine_v = s.give(values).clone(), y = s.empty({3, heads, size});
    composed::append_kv(k, v, keys, values, at::tensor(slots, at::kLong));
    s.table->append_kv(s.give(k), s.give(v), mine_k, mine_v, longs(s, slots));
    CHECK(at::equal(mine_k.to(at::kCPU, at::kFloat), keys));
    CHECK(at::equal(mine_v.to(at::kCPU, at::kFloat), values));
    s.table->decode_attention(s.give(q), mine_k, mine_v, of_rows(longs(s, blocks)), longs(s, lengths), y, window);
    CHECK(error(y, composed::decode_attention(q, keys, values, b, l, window)) < s.tolerance);
  }
}

// Bitwise: both round the same float32 once.
void float8_both_ways(const Subject& s) {
  INFO("dtype " << s.dtype);
  for (const auto format : {at::kFloat8_e4m3fn, at::kFloat8_e5m2})
    for (const int64_t n : {1, 5, 64, 130})
      for (const int64_t width : {16, 64, 208}) {
        INFO("rows " << n << ", width " << width);
        const auto x = random({n, width}, 11, 3);
        const auto scale = at::scalar_tensor(0.04f, at::kFloat);
        const auto expected = composed::to_float8(x, scale, format, {});
        const auto options = at::TensorOptions(s.device).dtype(format);
        const auto rows = at::empty({n, width}, options), columns = at::empty(expected.columns.sizes(), options);
        s.table->to_float8(s.give(x), scale.to(s.device), rows, columns);
        CHECK(at::equal(rows.cpu().view(at::kByte), expected.rows.view(at::kByte)));
        CHECK(at::equal(columns.cpu().view(at::kByte), expected.columns.view(at::kByte)));
        const auto alone = at::empty_like(rows), transposed = at::empty_like(columns);
        s.table->to_float8(s.give(x), scale.to(s.device), alone, {});
        s.table->to_float8(s.give(x), scale.to(s.device), {}, transposed);
        CHECK(at::equal(alone.view(at::kByte), rows.view(at::kByte)));
        CHECK(at::equal(transposed.view(at::kByte), columns.view(at::kByte)));
      }
}

void dropout_by_place(const Subject& s) {
  for (const int64_t rows : {0, 1, 37})
    for (const int64_t columns : {1, 19, 256})
      for (const DropoutMask mask :
           {DropoutMask{0.3, 99, 0, columns}, DropoutMask{0.9, ~uint64_t{0}, 12345, 3 * columns + 1}}) {
        INFO(rows << " rows of " << columns << ", p = " << mask.p);
        const auto x = random({rows, columns}, 13);
        const auto y = s.empty({rows, columns});
        s.table->dropout(s.give(x), y, mask);
        const auto factors = composed::dropout_factors(rows, columns, mask, x.options());
        CHECK(at::equal(y.cpu().ne(0), (x * factors).ne(0)));
        CHECK(error(y, x * factors) <= s.tolerance);
      }
}

}  // namespace

TEST_CASE("CUDA source, emulated: dropout by a value's place") {
  for (const auto& s : subjects(emulated(), at::kCPU)) dropout_by_place(s);
}

TEST_CASE("CUDA source, emulated: rms_norm and its gradients") {
  for (const auto& s : subjects(emulated(), at::kCPU)) rms_norm_and_gradients(s);
}

TEST_CASE("CUDA source, emulated: rope, of a whole head and of its first part, there and back") {
  for (const auto& s : subjects(emulated(), at::kCPU)) rope_there_and_back(s);
}

TEST_CASE("CUDA source, emulated: swiglu and its gradients, also far from zero") {
  for (const auto& s : subjects(emulated(), at::kCPU)) swiglu_and_gradients(s);
}

TEST_CASE("CUDA source, emulated: cross entropy: losses, and gradients where the logits were") {
  for (const auto& s : subjects(emulated(), at::kCPU)) cross_entropy_in_place(s);
}

TEST_CASE(
    "CUDA source, emulated: cross entropy: what is not a number stays so, and a label outside the vocabulary gives no "
    "loss") {
  for (const auto& s : subjects(emulated(), at::kCPU)) cross_entropy_of_no_number(s);
}

TEST_CASE("CUDA source, emulated: decode attention over a cache of rows of mixed lengths") {
  for (const auto& s : subjects(emulated(), at::kCPU)) decode_over_mixed_lengths(s);
}

TEST_CASE("CUDA source, emulated: FP8, as it lies and transposed") {
  for (const auto& s : subjects(emulated(), at::kCPU)) float8_both_ways(s);
}

TEST_CASE("CUDA kernels on a device: all of the above") {
  if (const auto why = testing::no_cuda(); !why.empty()) SKIP(why);
  for (const auto& s : subjects(*cuda_table(), at::Device("cuda:0"))) {
    rms_norm_and_gradients(s);
    rope_there_and_back(s);
    swiglu_and_gradients(s);
    dropout_by_place(s);
    cross_entropy_in_place(s);
    cross_entropy_of_no_number(s);
    decode_over_mixed_lengths(s);
    float8_both_ways(s);
  }
}

TEST_CASE("a CUDA graph does again what was recorded, with what its inputs hold now") {
  if (const auto why = testing::no_cuda(); !why.empty()) SKIP(why);
  const auto x = at::ones({8}, at::TensorOptions("cuda:0").dtype(at::kFloat));
  at::Tensor y;
  const auto graph = cuda_table()->capture(x.device(), [&] { y = x * 2 + 1; });
  x.fill_(5);
  cuda_table()->replay(graph.get());
  CHECK(y.eq(11).all().item<bool>());
  CHECK_THROWS(cuda_table()->capture(x.device(), [&] { (void)x.sum().item<float>(); }));
  CHECK((x + 1).eq(6).all().item<bool>());
}
