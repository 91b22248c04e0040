// Parts of a step on the device, beside LibTorch's own operations.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <antiphon/kernels/composed.h>
#include <antiphon/model/slot.h>
#include <antiphon/nn/attention/attention.h>
#include <antiphon/nn/token_scores.h>

#include "device_bench.h"

namespace antiphon::bench {
namespace {

std::vector<double> rates(const std::vector<double>& walls, double work) {
  std::vector<double> all;
  for (const double wall : walls) all.push_back(work / wall);
  return all;
}

void attention_way(const Bench& bench, const std::string& way, const std::function<void()>& body, double flops) {
  try {
    const auto walls = bench.walls_of_one(10, body);
    bench.print("device_attention", {{"way", way}, {"seq", bench.flags().sequence}},
                {{"wall_med_s", walls}, {"tflops", rates(walls, flops * 1e-12)}});
  } catch (const c10::Error& error) {  // not every build and device has every way
    bench.print("device_attention", {{"way", way}, {"failed", error.what_without_backtrace()}}, {{"wall_med_s", {0}}});
  }
}

void kernel(const Bench& bench, const std::string& name, double elements_moved, const std::function<void()>& ours,
            const std::function<void()>& composed) {
  const double gb = elements_moved * static_cast<double>(at::elementSize(bench.dtype())) * 1e-9;
  const auto own = bench.walls_of_one(20, ours), others = bench.walls_of_one(20, composed);
  bench.print(
      "device_kernel", {{"kernel", name}},
      {{"wall_med_s", own}, {"composed_s", others}, {"gb_s", rates(own, gb)}, {"composed_gb_s", rates(others, gb)}});
}

}  // namespace

void device_attention(const Bench& bench) {
  c10::AutoGradMode no_grad(false);
  constexpr int64_t kHeads = 32, kSize = 128, kSequences = 2;
  const int64_t seq = bench.flags().sequence, tokens = kSequences * seq;
  const auto q = bench.random({tokens, kHeads, kSize}), k = bench.random({tokens, kHeads, kSize}),
             v = bench.random({tokens, kHeads, kSize});
  const auto batch = [&](const at::Tensor& x) { return x.view({kSequences, seq, kHeads, kSize}).transpose(1, 2); };
  // Half of the pairs, two products, two operations each.
  const double flops =
      2.0 * static_cast<double>(kSequences * kHeads * kSize) * static_cast<double>(seq) * static_cast<double>(seq);
  attention_way(
      bench, "packed_attention",
      [&] {
        nn::packed_attention(q, k, v, {seq, seq}, true);
      },
      flops);
  attention_way(
      bench, "scaled_dot_product_attention",
      [&] { at::scaled_dot_product_attention(batch(q), batch(k), batch(v), {}, 0.0, true); }, flops);
  attention_way(
      bench, "cudnn",
      [&] { at::_scaled_dot_product_cudnn_attention(batch(q), batch(k), batch(v), {}, false, 0.0, true); }, flops);
}

void device_loss(const Bench& bench) {
  constexpr int64_t kHidden = 4096, kVocabulary = 128256;
  const int64_t tokens = bench.flags().sequence;
  const auto hidden = bench.random({tokens, kHidden}).set_requires_grad(true),
             weight = bench.random({kVocabulary, kHidden}, 0.02);
  const auto labels = at::randint(0, kVocabulary, {tokens}, at::TensorOptions(bench.device()).dtype(at::kLong));
  const auto ours = [&] {
    torch::autograd::grad({-nn::token_scores(hidden, weight, labels, {1024, true}).mean()}, {hidden});
  };
  const auto eager = [&] {
    torch::autograd::grad({at::cross_entropy_loss(at::linear(hidden, weight).to(at::kFloat), labels)}, {hidden});
  };
  using Way = std::pair<std::string, std::function<void()>>;
  for (const auto& [way, body] : {Way{"antiphon", ours}, Way{"eager", eager}}) {
    const double peak = bench.peak_mib(body);
    const auto walls = bench.walls(body);
    bench.print("device_loss", {{"way", way}, {"tokens", tokens}, {"vocabulary", kVocabulary}, {"peak_mib", peak}},
                {{"wall_med_s", walls}});
  }
}

void device_kernels(const Bench& bench) {
  c10::AutoGradMode no_grad(false);
  namespace k = kernels;
  constexpr int64_t kWidth = 4096, kInner = 14336, kHeads = 32, kSize = 128;
  const int64_t tokens = bench.flags().sequence;
  const auto x = bench.random({tokens, kWidth}), grad = bench.random({tokens, kWidth}), weight = bench.random({kWidth});
  const auto rstd = k::rms_norm(x, weight, 1e-5).rstd;
  const auto n = static_cast<double>(x.numel());
  kernel(
      bench, "rms_norm", 2 * n, [&] { k::rms_norm(x, weight, 1e-5); }, [&] { k::composed::rms_norm(x, weight, 1e-5); });
  kernel(
      bench, "rms_norm_backward", 3 * n, [&] { k::rms_norm_backward(grad, x, weight, rstd); },
      [&] { k::composed::rms_norm_backward(grad, x, weight, rstd); });
  const auto heads = x.view({tokens, kHeads, kSize}), angle = bench.random({tokens, kSize});
  kernel(
      bench, "rope", 2 * n, [&] { k::rope(heads, angle, angle, 1); },
      [&] { k::composed::rope(heads, angle, angle, 1); });
  const auto gate = bench.random({tokens, kInner}), up = bench.random({tokens, kInner}),
             of_y = bench.random({tokens, kInner});
  const auto m = static_cast<double>(gate.numel());
  kernel(
      bench, "swiglu", 3 * m, [&] { k::swiglu(gate, up); }, [&] { k::composed::swiglu(gate, up); });
  kernel(
      bench, "swiglu_backward", 5 * m, [&] { k::swiglu_backward(of_y, gate, up); },
      [&] { k::composed::swiglu_backward(of_y, gate, up); });
}

}  // namespace antiphon::bench
