// `antiphon_bench device`: the goals for a GPU, one JSON line each (tools/gpu_check.sh runs them). The pair of
// benchmarks/peer_device.py.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "measure.h"

namespace antiphon::bench {

struct DeviceFlags {
  std::string device = "cuda", part, model, dtype = "bf16";
  int64_t batch = 1, sequence = 4096, layers = 0, fresh = 128;  // layers 0: as the model has
  bool fp8 = false;                                             // linear layers, in training
  Repeats repeats;
};

// What a part runs on, and how it is timed.
class Bench {
 public:
  // Opens the CUDA libraries for "cuda"; Error(config) if there is no device. "cpu" is for trying the parts out.
  explicit Bench(const DeviceFlags& flags);
  at::Device device() const { return device_; }
  at::ScalarType dtype() const { return flags_.dtype == "bf16" ? at::kBFloat16 : at::kFloat; }
  const DeviceFlags& flags() const { return flags_; }
  at::Tensor random(at::IntArrayRef sizes, double scale = 1) const;
  // Wall seconds of each call, the device's work included.
  std::vector<double> walls(const std::function<void()>& body) const;
  // Seconds of one of `calls` calls back to back, for what is shorter than a launch.
  std::vector<double> walls_of_one(int calls, const std::function<void()>& body) const;
  // Largest allocation on the device while body runs, in MiB, what was there before taken off; 0 on the CPU.
  double peak_mib(const std::function<void()>& body) const;
  void print(const std::string& name, nlohmann::json facts,
             const std::vector<std::pair<std::string, std::vector<double>>>& samples) const;

 private:
  DeviceFlags flags_;
  at::Device device_;
};

// `part`: train, full, decode (device_models.cpp), attention, loss, kernels (device_parts.cpp).
void device(const DeviceFlags& flags);
void device_train(const Bench& bench, bool full);
void device_decode(const Bench& bench);
void device_attention(const Bench& bench);
void device_loss(const Bench& bench);
void device_kernels(const Bench& bench);

}  // namespace antiphon::bench
