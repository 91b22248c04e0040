#include <antiphon/train/random_state.h>

#include <ATen/Context.h>
#include <ATen/core/Generator.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>

namespace antiphon::train {
namespace {

std::shared_ptr<at::Generator> default_generator(at::Device device) {
  return std::make_shared<at::Generator>(at::globalContext().defaultGenerator(device));
}

std::string name_of(at::Device device) { return "random." + c10::DeviceTypeName(device.type(), /*lower_case=*/true); }

}  // namespace

RandomState::RandomState(at::Device device) {
  generators_.emplace_back(name_of(at::kCPU), default_generator(at::kCPU));
  if (!device.is_cpu()) generators_.emplace_back(name_of(device), default_generator(device));
}

void RandomState::seed(uint64_t seed) {
  for (auto& [name, generator] : generators_) generator->set_current_seed(seed);
}

weights::NamedTensors RandomState::state() const {
  weights::NamedTensors all;
  for (const auto& [name, generator] : generators_) all.emplace_back(name, generator->get_state());
  return all;
}

void RandomState::restore(const std::map<std::string, at::Tensor>& state) {
  for (auto& [name, generator] : generators_) {
    const auto found = state.find(name);
    if (found == state.end())
      fail(ErrorKind::weights, fmt::format("the checkpoint has no state of the random generator '{}'", name),
           "resume on the kind of device that the run was trained on");
    generator->set_state(found->second.clone());
  }
}

}  // namespace antiphon::train
