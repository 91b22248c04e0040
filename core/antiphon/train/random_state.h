// The random generators that training draws from (dropout): the CPU's, and that of the device the model is on.
#pragma once
#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <antiphon/weights/safetensors.h>

namespace at {
struct Generator;
}

namespace antiphon::train {

class RandomState {
 public:
  using Generators = std::vector<std::pair<std::string, std::shared_ptr<at::Generator>>>;
  // LibTorch's default generators of the CPU ("random.cpu") and of `device` ("random.cuda") if it is another.
  explicit RandomState(at::Device device);
  explicit RandomState(Generators generators) : generators_(std::move(generators)) {}

  void seed(uint64_t seed);
  // By name, copied.
  weights::NamedTensors state() const;
  // Error(weights) if `state` lacks one: the run was trained on another kind of device.
  void restore(const std::map<std::string, at::Tensor>& state);

 private:
  Generators generators_;
};

}  // namespace antiphon::train
