// Attention with lengths on the device against attention with lengths on the host; on a CUDA device, layers and packed
// attention against the CPU in float32.
#include <torch/csrc/autograd/autograd.h>

#include <antiphon/kernels/test_cuda.h>
#include <antiphon/nn/activation.h>
#include <antiphon/nn/attention/attention.h>
#include <antiphon/nn/attention/cached_attention.h>
#include <antiphon/nn/attention/device_attention.h>
#include <antiphon/nn/blocks/decoder.h>
#include <antiphon/nn/testing.h>

#include <numeric>

using namespace antiphon;
using namespace antiphon::nn;

namespace {

constexpr int64_t kRows = 3, kCapacity = 16;

struct Heads {
  at::Tensor q, k, v;
};

Heads random_heads(int64_t tokens, uint64_t seed, int64_t size = 8) {
  return {random({tokens, 4, size}, seed), random({tokens, 2, size}, seed + 1), random({tokens, 2, size}, seed + 2)};
}

// A cache whose rows hold 5, 1 and 9 tokens.
DecoderState filled_cache() {
  auto cache = small_cache({1, 2, 8}, kRows, kCapacity);
  DecoderInput input;
  input.cache = &cache, input.rows = {0, 1, 2}, input.lengths = {5, 1, 9};
  const auto in = random_heads(15, 1);
  input.x_td = in.q;
  place_tokens(input);
  cached_attention(in.q, in.k, in.v, input, 0);
  advance_rows(input);
  return cache;
}

DecoderOptions small() {
  DecoderOptions options;
  options.vocab_size = 20, options.hidden_size = 32, options.intermediate_size = 48, options.num_layers = 2;
  options.num_heads = 4, options.num_kv_heads = 2, options.head_size = 8, options.max_positions = 64;
  return options;
}

using Function = std::function<at::Tensor(const std::vector<at::Tensor>&)>;

// Value and gradients on CUDA in `dtype` against the CPU in float32; the inputs are rounded to bfloat16.
void same_on_cuda(const Function& function, const std::vector<at::Tensor>& inputs, at::ScalarType dtype,
                  double tolerance) {
  std::vector<at::Tensor> host, device;
  for (const auto& input : inputs) {
    const auto value = input.to(at::kBFloat16).to(at::kFloat);
    host.push_back(value.clone().set_requires_grad(true));
    device.push_back(value.to(at::Device("cuda:0"), dtype).set_requires_grad(true));
  }
  const auto expected = function(host), got = function(device);
  const auto upstream = random(expected.sizes(), 99).to(at::kBFloat16).to(at::kFloat);
  CHECK(relative_error(got.detach().to(at::kCPU), expected.detach()) < tolerance);
  const auto wanted = torch::autograd::grad({expected}, host, {upstream});
  const auto found = torch::autograd::grad({got}, device, {upstream.to(got.device(), dtype)});
  for (size_t i = 0; i < found.size(); ++i) {
    INFO("gradient " << i);
    CHECK(relative_error(found[i].to(at::kCPU), wanted[i]) < 2 * tolerance);
  }
}

}  // namespace

TEST_CASE("a step that reads its rows and lengths from tensors is a step that reads them from lists") {
  for (const int64_t window : {0, 4})
    for (const auto& rows : std::vector<std::vector<int64_t>>{{0, 1, 2}, {2, 0}, {1}}) {
      auto by_lists = filled_cache(), by_tensors = filled_cache();
      const auto n = static_cast<int64_t>(rows.size());
      DecoderInput input;
      input.rows = rows, input.lengths.assign(rows.size(), 1);
      const auto in = random_heads(n, 50);
      input.cache = &by_lists, input.x_td = in.q;
      place_tokens(input);
      const auto expected = cached_attention(in.q, in.k, in.v, input, 0, {.window = window});
      input.cache = &by_tensors;
      // What a row has beyond its blocks is any block.
      input.blocks_nb = at::zeros({n, 5}, at::kLong), input.held_n = at::zeros({n}, at::kLong);
      for (int64_t i = 0; i < n; ++i) {
        const int64_t row = rows[static_cast<size_t>(i)];
        by_tensors.reserve(row, 1);
        const auto blocks = at::tensor(by_tensors.blocks(row), at::kLong);
        input.blocks_nb[i].narrow(0, 0, blocks.size(0)).copy_(blocks);
        input.held_n[i] = by_tensors.length(row);
      }
      CHECK(relative_error(cached_attention(in.q, in.k, in.v, input, 0, {.window = window}), expected) < 1e-6);
      CHECK(at::equal(by_tensors.keys(0), by_lists.keys(0)));
      CHECK(at::equal(by_tensors.values(0), by_lists.values(0)));
    }
}

TEST_CASE("layers on CUDA: values and gradients are those on the CPU") {
  if (const auto why = kernels::testing::no_cuda(); !why.empty()) SKIP(why);
  const auto table = [](const at::Tensor& x) {
    return Rope(16, 10000, {}).table(at::arange(x.size(0), at::kLong).unsqueeze(0).to(x.device()), x.scalar_type());
  };
  for (const auto& [dtype, tolerance] : {std::pair{at::kFloat, 1e-5}, std::pair{at::kBFloat16, 1.5e-2}}) {
    same_on_cuda([](const auto& in) { return swiglu(in[0], in[1]); }, {random({9, 24}, 1), random({9, 24}, 2)}, dtype,
                 tolerance);
    same_on_cuda([](const auto& in) { return swiglu(in[0].t(), in[1].t()); }, {random({9, 24}, 1), random({9, 24}, 2)},
                 dtype, tolerance);
    same_on_cuda([&](const auto& in) { return apply_rope(in[0], table(in[0])); }, {random({7, 3, 20}, 3)}, dtype,
                 tolerance);
    same_on_cuda(
        [](const auto& in) {
          Norm norm(NormKind::rms, 24, 1e-5);
          *norm.parameters()[0].tensor = in[1];
          return norm.forward(in[0]);
        },
        {random({7, 24}, 4), random({24}, 5)}, dtype, tolerance);
  }
}

TEST_CASE("packed attention on CUDA: values and gradients are those on the CPU") {
  if (const auto why = kernels::testing::no_cuda(); !why.empty()) SKIP(why);
  for (const auto& lengths : std::vector<std::vector<int64_t>>{{7}, {5, 33, 32, 1, 70}, {4, 4, 4}})
    for (const int64_t window : {0, 6})
      for (const auto& [dtype, tolerance] : {std::pair{at::kFloat, 1e-5}, std::pair{at::kBFloat16, 2e-2}}) {
        const auto in = random_heads(std::accumulate(lengths.begin(), lengths.end(), int64_t{0}), 3, 64);
        for (const bool causal : {true, false})
          same_on_cuda(
              [&](const auto& x) { return packed_attention(x[0], x[1], x[2], lengths, causal, causal ? window : 0); },
              {in.q, in.k, in.v}, dtype, tolerance);
      }
}

TEST_CASE("which packed attention goes to the flash kernel") {
  CHECK_FALSE(fits_varlen_attention(random({7, 4, 64}, 1).to(at::kBFloat16), {3, 4}, 0));
  if (const auto why = kernels::testing::no_cuda(); !why.empty()) SKIP(why);
  const auto on_device = [](at::ScalarType dtype, int64_t size) {
    return at::zeros({7, 4, size}, at::TensorOptions("cuda:0").dtype(dtype));
  };
  CHECK(fits_varlen_attention(on_device(at::kBFloat16, 64), {3, 4}, 0));
  for (const auto& lengths : std::vector<std::vector<int64_t>>{{7}, {3, 3}}) {
    CHECK_FALSE(fits_varlen_attention(on_device(at::kBFloat16, 64), lengths, 0));
    CHECK(fits_varlen_attention(on_device(at::kBFloat16, 64), lengths, 2));
  }
  CHECK_FALSE(fits_varlen_attention(on_device(at::kFloat, 64), {3, 4}, 0));
  CHECK_FALSE(fits_varlen_attention(on_device(at::kBFloat16, 20), {3, 4}, 0));
}

TEST_CASE("a decoder on CUDA, prefill and steps, gives what it gives on the CPU") {
  if (const auto why = kernels::testing::no_cuda(); !why.empty()) SKIP(why);
  const auto run = [](at::Device device) {
    Decoder decoder(small());
    decoder.set_requires_grad(false);
    decoder.initialize(5, at::kCPU);
    decoder.to(device, at::kFloat);
    auto cache = small_cache(decoder.kv_shape(), 1, 12, at::TensorOptions(device).dtype(at::kFloat));
    std::vector<at::Tensor> pieces;
    for (const auto& [begin, n] : std::vector<std::pair<int64_t, int64_t>>{{0, 6}, {6, 1}, {7, 1}, {8, 2}}) {
      DecoderInput input;
      input.positions_at = at::arange(begin, begin + n, at::kLong).unsqueeze(0).to(device);
      input.x_td = decoder.embed(input.positions_at[0]);
      input.lengths = {n}, input.cache = &cache, input.rows = {0};
      pieces.push_back(decoder.forward(input).to(at::kCPU));
    }
    return at::cat(pieces);
  };
  CHECK(relative_error(run(at::Device("cuda:0")), run(at::kCPU)) < 1e-4);
}
