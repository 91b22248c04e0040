#include <antiphon/checkpoint/restore.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/name_list.h>

namespace antiphon::checkpoint {

void restore_parameters(const std::vector<Parameter>& parameters, const StoredTensors& values) {
  c10::AutoGradMode no_grad(false);
  std::vector<std::string> missing;
  for (const auto& parameter : parameters) {
    const auto value = values.find(parameter.name);
    if (value == values.end() || value->second.sizes() != parameter.whole_sizes()) {
      missing.push_back(parameter.name);
    } else if (parameter.tensor->is_meta()) {
      *parameter.tensor = value->second.whole().detach().set_requires_grad(parameter.tensor->requires_grad());
    } else {
      parameter.tensor->copy_(value->second.read(parameter));
    }
  }
  if (missing.empty() && values.size() == parameters.size()) return;
  fail(ErrorKind::weights,
       fmt::format("the checkpoint does not fit the model: {} of {} tensors are missing or of another shape "
                   "({}); it holds {}",
                   missing.size(), parameters.size(), name_list(missing), values.size()),
       "use the config.toml of that run");
}

}  // namespace antiphon::checkpoint
