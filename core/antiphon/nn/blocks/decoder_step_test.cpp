// Decoding steps by the fused path against the same steps by single operations, which requiring a gradient selects.
#include <antiphon/nn/blocks/decoder_step.h>
#include <antiphon/nn/linear/few_rows.h>
#include <antiphon/nn/linear/quantized_weight.h>
#include <antiphon/nn/testing.h>

#include <functional>

using namespace antiphon;
using namespace antiphon::nn;

namespace {

DecoderOptions small() {
  DecoderOptions options;
  options.vocab_size = 48, options.hidden_size = 64, options.intermediate_size = 96, options.num_layers = 2;
  options.num_heads = 4, options.num_kv_heads = 2, options.head_size = 16, options.max_positions = 64;
  options.tie_embeddings = true;
  return options;
}

std::unique_ptr<Decoder> made(const DecoderOptions& options, at::ScalarType dtype = at::kFloat, double of_norms = 0) {
  auto decoder = std::make_unique<Decoder>(options);
  decoder->initialize(5, at::kCPU);
  uint64_t seed = 60;
  for (auto& parameter : decoder->parameters())  // larger than at the start of a training, so that everything counts
    if (parameter.name.find("norm") == std::string::npos)
      parameter.tensor->mul_(parameter.init == Init::normal_002 ? 20 : 2);
    else
      parameter.tensor->add_(random({parameter.tensor->size(0)}, ++seed) * of_norms);
  decoder->set_requires_grad(false);
  decoder->to(at::kCPU, dtype);
  return decoder;
}

// All that Granite and Gemma add to a block.
DecoderOptions with_all() {
  auto options = small();
  options.norm = NormKind::rms_plus_one, options.activation = "gelu_pytorch_tanh", options.branch_norms = true;
  options.branch_multiplier = 0.6, options.score_scale = 0.4, options.score_cap = 2, options.qk_norm = true;
  options.window = 4, options.full_layers = {1}, options.window_rope_theta = 100;
  return options;
}

// Prefills of 5, 1 and 9 tokens, then steps by several rows at once, by one, and by two in another order.
at::Tensor answers(Decoder& decoder, bool fused) {
  const auto dtype = decoder.parameters().back().tensor->scalar_type();  // of the norm: matrices may be narrower
  auto cache = small_cache(decoder.kv_shape(), 3, 16, dtype);
  std::vector<at::Tensor> hidden;
  int64_t next = 0;
  const auto run = [&](std::vector<int64_t> rows, std::vector<int64_t> lengths) {
    const at::AutoGradMode gradients(!fused);
    DecoderInput input;
    std::vector<int64_t> positions, ids;
    for (size_t i = 0; i < rows.size(); ++i)
      for (int64_t j = 0; j < lengths[i]; ++j)
        positions.push_back(cache.length(rows[i]) + j), ids.push_back(next = (next + 7) % 48);
    input.x_td = decoder.embed(at::tensor(ids, at::kLong)).to(dtype);
    input.positions_at = at::tensor(positions, at::kLong).unsqueeze(0);
    input.lengths = std::move(lengths), input.rows = std::move(rows), input.cache = &cache;
    hidden.push_back(decoder.forward(input));
  };
  run({0, 1, 2}, {5, 1, 9});
  run({0, 1, 2}, {1, 1, 1});
  run({1}, {1});
  run({2, 0}, {1, 1});
  run({0, 1, 2}, {1, 1, 1});
  for (const auto& [row, length] : {std::pair{0, 8}, {1, 4}, {2, 12}}) CHECK(cache.length(row) == length);
  const at::AutoGradMode gradients(!fused);
  return decoder.logits(at::cat(hidden).narrow(0, 15, 9));
}

// How far two computations in bfloat16 are from the exact values; of all values, for the largest error is luck.
double rounding(const at::Tensor& got, const at::Tensor& exact) {
  return ((got.to(at::kFloat) - exact).norm() / exact.norm()).item<double>();
}

bool fits(const DecoderLayer& layer, const at::Tensor& x, DecoderState& cache) {
  const at::NoGradGuard guard;
  DecoderInput input;
  input.lengths = {1}, input.rows = {0}, input.cache = &cache;
  return fits_layer_step(layer, x, input, 0);
}

}  // namespace

TEST_CASE("a fused step gives what its operations give") {
  auto windowed = small(), biased = small(), untied = small(), partly_turned = small(), normalized = small();
  normalized.qk_norm = true;
  windowed.window = 4, windowed.first_window_layer = 1;
  biased.qkv_bias = biased.output_bias = biased.mlp_bias = true;
  untied.tie_embeddings = false, untied.num_kv_heads = 1, untied.intermediate_size = 90;
  partly_turned.rotary_size = 8;
  auto scaled = small(), multiplied = small(), capped = windowed, around_zero = normalized, branches = biased,
       gelu = small();
  scaled.score_scale = 0.6, multiplied.branch_multiplier = 0.22, capped.score_cap = 0.5;
  multiplied.output_bias = multiplied.mlp_bias = true, multiplied.intermediate_size = 90;
  around_zero.norm = NormKind::rms_plus_one, branches.branch_norms = true, gelu.activation = "gelu_pytorch_tanh";
  for (const auto& options : {small(), windowed, biased, untied, partly_turned, normalized, scaled, multiplied, capped,
                              around_zero, branches, gelu, with_all()}) {
    CHECK(is_block_of_step(options));
    const auto decoder = made(options, at::kFloat, 0.2), half = made(options, at::kBFloat16, 0.2);
    const auto exact = answers(*decoder, false);
    CHECK(relative_error(answers(*decoder, true), exact) < 1e-5);
    CHECK(rounding(answers(*half, true), exact) < 1.1 * rounding(answers(*half, false), exact));
  }
}

namespace {

struct Change : LinearAdapter {
  LowRank values;
  explicit Change(const Linear& linear, uint64_t seed)
      : values{random({3, linear.in()}, seed) * 0.2, random({linear.out(), 3}, seed + 1) * 0.2, 0.7} {}
  at::Tensor forward(const at::Tensor& x, const LinearBase& base) override {
    const auto a = values.a.to(x.scalar_type()), b = values.b.to(x.scalar_type());
    return base.product(x) + at::linear(at::linear(x, a), b) * values.scale;
  }
  LowRank low_rank() const override { return values; }
};

}  // namespace

TEST_CASE("a fused step adds what adapters of low rank add") {
  auto biased = small(), multiplied = small();
  biased.qkv_bias = biased.output_bias = biased.mlp_bias = true;
  multiplied.branch_multiplier = 0.6;
  for (const auto& options : {biased, multiplied, with_all()}) {
    const auto decoder = made(options, at::kFloat, 0.2), half = made(options, at::kBFloat16, 0.2);
    const auto before = answers(*decoder, true);
    for (const auto* model : {decoder.get(), half.get()}) {
      uint64_t seed = 30;
      for (auto& site : const_cast<Decoder*>(model)->sites())
        site.linear->adapters.push_back(std::make_shared<Change>(*site.linear, seed += 2));
    }
    const auto exact = answers(*decoder, false);
    CHECK(relative_error(before, exact) > 1e-2);
    CHECK(relative_error(answers(*decoder, true), exact) < 1e-5);
    CHECK(rounding(answers(*half, true), exact) < 1.1 * rounding(answers(*half, false), exact));
  }
}

TEST_CASE("which layers take the fused step") {
  const auto options = small();
  auto cache = small_cache(made(options)->kv_shape(), 1, 4);
  auto layer_of = [](const DecoderOptions& o) {
    auto layer = std::make_unique<DecoderLayer>(o, 0);
    layer->initialize(1, at::kCPU);
    layer->set_requires_grad(false);
    return layer;
  };
  const auto x = random({1, 64}, 1);
  CHECK(fits(*layer_of(options), x, cache));
  const auto adapted = layer_of(options);
  const auto& site = *adapted->sites().front().linear;
  adapted->sites().front().linear->adapters.push_back(std::make_shared<Change>(site, 1));
  CHECK(fits(*adapted, x, cache));
  static_cast<Change&>(*site.adapters.front()).values = {};  // no low-rank form
  CHECK_FALSE(fits(*adapted, x, cache));
  CHECK_FALSE(fits(*layer_of(options), x.to(at::kBFloat16), cache));
  CHECK_FALSE(fits(*layer_of(options), random({2, 64}, 1), cache));
  auto other = options;
  other.activation = "relu2", other.gated_mlp = false;
  CHECK_FALSE(fits(*layer_of(other), x, cache));
  for (const auto& change : std::vector<std::function<void(DecoderOptions&)>>{
           [](auto& o) { o.norm = NormKind::layer; }, [](auto& o) { o.norm = NormKind::layer_plus_one; },
           [](auto& o) { o.activation = "gelu"; }}) {
    other = options, change(other);
    CHECK_FALSE(fits(*layer_of(other), x, cache));
  }
  CHECK(fits(*layer_of(with_all()), x, cache));
  const at::AutoGradMode gradients(true);
  DecoderInput input;
  input.lengths = {1}, input.rows = {0}, input.cache = &cache;
  CHECK_FALSE(fits_layer_step(*layer_of(options), x, input, 0));
}

TEST_CASE("a quantised decoder gives what its weights give, dequantised") {
  for (const std::string format : {"int8", "int4"}) {
    const auto decoder = made(small()), rounded = made(small());
    const auto sum = decoder->quantize(format);
    CHECK(sum.applied == 15);  // seven linear layers twice, and the embeddings
    CHECK(sum.total == 15);
    CHECK(sum.bytes < sum.bytes_before / 3);
    const auto sites = decoder->sites(), plain = rounded->sites();
    for (size_t i = 0; i < sites.size(); ++i) {
      CHECK(sites[i].linear->weight.is_meta());
      plain[i].linear->weight = sites[i].linear->quantized->dequantized(at::kFloat);
    }
    rounded->parameters()[0].tensor->copy_(decoder->head_weight());
    CHECK(relative_error(answers(*decoder, true), answers(*rounded, false)) < 1e-5);
    const auto ids = at::tensor({3, 47, 0, 16}, at::kLong);
    CHECK(at::equal(decoder->embed(ids), rounded->embed(ids)));
  }
}

TEST_CASE("a decoder with bfloat16 matrices and float32 states gives what their values give") {
  for (const bool tied : {true, false}) {
    auto options = small();
    options.tie_embeddings = tied;
    const auto narrow = made(options), rounded = made(options);
    const auto own = narrow->parameters(), wide = rounded->parameters();
    for (size_t i = 0; i < own.size(); ++i) {
      if (own[i].tensor->dim() != 2) continue;
      *own[i].tensor = own[i].tensor->to(at::kBFloat16);
      *wide[i].tensor = own[i].tensor->to(at::kFloat);
    }
    for (const bool fused : {true, false})
      CHECK(relative_error(answers(*narrow, fused), answers(*rounded, fused)) < 1e-6);
  }
}

TEST_CASE("a full cache is an error for a fused step, too") {
  const auto decoder = made(small());
  auto cache = small_cache(decoder->kv_shape(), 1, 4);
  cache.reserve(0, 4);
  cache.advance(0, 4);
  const at::NoGradGuard guard;
  DecoderInput input;
  input.x_td = random({1, 64}, 1), input.positions_at = at::tensor({4}, at::kLong).unsqueeze(0);
  input.lengths = {1}, input.rows = {0}, input.cache = &cache;
  CHECK_THROWS(decoder->forward(input));
}
