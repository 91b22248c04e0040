#include <antiphon/component/adapter_file.h>
#include <antiphon/component/peft.h>

#include <fmt/format.h>

#include <utility>

namespace antiphon {
namespace {

constexpr uint64_t kAll = ~uint64_t{0};
thread_local uint64_t active_sets = kAll;

}  // namespace

AdapterScope::AdapterScope(uint64_t sets) : before_(std::exchange(active_sets, sets)) {}
AdapterScope::~AdapterScope() { active_sets = before_; }
uint64_t AdapterScope::now() { return active_sets; }
bool AdapterScope::active(int set) { return (active_sets >> set & 1) != 0; }

namespace {

[[noreturn]] void fail_to_share(const std::string& key) {
  fail(ErrorKind::config, fmt::format("an adapter of this kind on such a layer is not divided by {}", key),
       fmt::format("use {} = 1, other targets, or lora", key));
}

}  // namespace

void LinearAdapter::keep_outputs(int64_t, int64_t) { fail_to_share("parallel.tensor"); }
void LinearAdapter::keep_inputs(int64_t, int64_t) { fail_to_share("parallel.tensor"); }
void LinearAdapter::keep(bool) {
  fail(ErrorKind::config,
       "an adapter of this kind is not divided by parallel.pipeline, or by parallel.expert on experts",
       "use 1 for both, or lora");
}

std::string Peft::key_of(const std::string& parameter) const {
  return kPeftPrefix + parameter.substr(0, parameter.find(kOursBehind));
}

std::vector<std::pair<std::string, at::Tensor>> Peft::file_tensors() {
  std::vector<std::pair<std::string, at::Tensor>> all;
  for (const auto& parameter : module().parameters()) all.emplace_back(parameter.name, *parameter.tensor);
  return all;
}

std::string Peft::stack_layers(AdapterFile&, const StackedPart&) const {
  return "its method has no form for the layer that it has";
}

std::string Peft::join(AdapterFile&, const AdapterFile& part,
                       const std::function<std::string(const std::string& layer)>&) const {
  return fmt::format("{} is {}, of which one adapter of several parts is not known", part.path,
                     part.config.value(kPeftMethod, "a method without a name"));
}

bool Peft::unstack_layers(AdapterFile&, const StackedPart&) { return false; }

}  // namespace antiphon
