// Tensors to the disk and back, 512 MB of float32 in tensors of 4 MiB.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/train/checkpoint.h>
#include <antiphon/weights/load.h>

#include "random_model.h"
#include "verbs.h"

namespace antiphon::bench {
namespace {

constexpr int64_t kTensors = 122, kEdge = 1024;

weights::NamedTensors tensors(int64_t begin, int64_t end) {
  weights::NamedTensors named;
  for (int64_t i = begin; i < end; ++i)
    named.emplace_back(fmt::format("layers.{}.weight", i), at::randn({kEdge, kEdge}));
  return named;
}

struct Layers : Module {
  explicit Layers(bool trainable) {
    weights.resize(kTensors);
    for (int64_t i = 0; i < kTensors; ++i)
      add(fmt::format("layers.{}.weight", i), weights[static_cast<size_t>(i)], {kEdge, kEdge}, Init::zeros);
    set_requires_grad(trainable);
  }
  std::vector<at::Tensor> weights;
};

double gigabytes() { return static_cast<double>(kTensors * kEdge * kEdge * 4) / 1e9; }

std::vector<double> rates(const std::vector<double>& walls) {
  std::vector<double> rates;
  for (const double wall : walls) rates.push_back(gigabytes() / wall);
  return rates;
}

}  // namespace

// A third of it are parameters, the rest is AdamW's. The step waits until all is on the disk.
void checkpoint(const Flags& flags) {
  const train::CheckpointContent content{tensors(0, kTensors / 3), tensors(kTensors / 3, kTensors), {{"step", 1}}};
  const std::filesystem::path folder = flags.path;
  const auto walls = repeat(
      flags.repeats, [&] { train::save_checkpoint(folder, 1, content, 1); },
      [&] { std::filesystem::remove_all(folder); });
  emit("checkpoint", {{"gigabytes", gigabytes()}}, {{"blocked_s", walls}, {"total_s", walls}});
}

void load(const Flags& flags) {
  const auto file = std::filesystem::path(flags.path) / "weights.safetensors";
  weights::save_safetensors(file, tensors(0, kTensors));
  const NameMap as_they_are{{{"{}", "{}"}}, {}, {}};
  const auto into = [&](bool trainable) {
    return repeat(flags.repeats, [&] {
      Layers layers(trainable);
      weights::load_parameters(layers, weights::Checkpoint(file), as_they_are);
    });
  };
  const auto own = into(true), mapped = into(false);
  emit("load", {{"gigabytes", gigabytes()}}, {{"own_gb_s", rates(own)}, {"mapped_s", mapped}});
}

}  // namespace antiphon::bench
