// Tensors to the disk and back, 512 MB of float32 in tensors of 4 MiB.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/checkpoint/checkpoint.h>
#include <antiphon/checkpoint/checkpoint_writer.h>
#include <antiphon/weights/load.h>

#include <functional>

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
      add(fmt::format("layers.{}.weight", i), weights[static_cast<size_t>(i)], {kEdge, kEdge}, Init::zeros, Role::matrix);
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

double seconds_of(const std::function<void()>& work) { return repeat({0, 1}, work).front(); }

void copy(const weights::NamedTensors& to, const checkpoint::CheckpointContent& from) {
  size_t next = 0;
  for (const auto* tensors : {&from.parameters, &from.state})
    for (const auto& [name, tensor] : *tensors) to[next++].second.copy_(tensor);
}

}  // namespace

// A third of it are parameters, the rest is AdamW's. As in a run: the step waits while everything is copied into memory
// that was taken at the start, then a thread writes it. "first_blocked_s": without having taken it; "copy_s": a plain
// copy of the same, in turn with the checkpoints.
void checkpoint(const Flags& flags) {
  const checkpoint::CheckpointContent content{tensors(0, kTensors / 3), tensors(kTensors / 3, kTensors), {{"step", 1}}};
  const std::filesystem::path folder = flags.path;
  checkpoint::CheckpointWriter writer(folder, 1);
  const auto there = tensors(0, kTensors);
  std::vector<double> blocked, copied;
  const auto before = [&] {
    std::filesystem::remove_all(folder);
    copied.push_back(seconds_of([&] { copy(there, content); }));
  };
  const auto save = [&] {
    blocked.push_back(seconds_of([&] { writer.save(1, content); }));
    writer.wait();
  };
  auto total = repeat({0, flags.repeats.warmup + flags.repeats.count}, save, before);
  const double first = blocked.front();
  for (auto* walls : {&blocked, &copied, &total}) walls->erase(walls->begin(), walls->begin() + flags.repeats.warmup);
  emit("checkpoint", {{"gigabytes", gigabytes()}, {"first_blocked_s", first}},
       {{"blocked_s", blocked}, {"copy_s", copied}, {"total_s", total}});
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
