#include <antiphon/weights/shared_matrices.h>

#include <ATen/core/Tensor.h>

#include <antiphon/component/adapter_file.h>

#include <algorithm>
#include <functional>
#include <map>

namespace antiphon::weights {
namespace {

using Sizes = std::vector<int64_t>;

bool is_beginning(const Sizes& own, const Sizes& all) {
  return own != all && std::ranges::equal(own, all, std::ranges::less_equal());
}

LazyTensor beginning(LazyTensor tensor, const Sizes& own) {
  tensor.sizes = own;
  tensor.values = [own, values = std::move(tensor.values)] {
    auto part = values();
    for (size_t d = 0; d < own.size(); ++d) part = part.narrow(static_cast<int64_t>(d), 0, own[d]);
    return part.contiguous();
  };
  return tensor;
}

}  // namespace

std::shared_ptr<const Checkpoint> own_beginnings(std::shared_ptr<const Checkpoint> file, Peft& method) {
  std::map<std::string, Sizes> shared;  // by key
  for (const auto& parameter : method.module().parameters())
    if (method.is_shared(parameter.name)) shared[method.key_of(parameter.name)] = parameter.whole_sizes();
  if (shared.empty()) return file;
  LazyTensors all;
  bool any = false;
  for (const auto& name : file->names()) {
    all.push_back(lazily(file, name, name));
    const auto own = shared.find(without_adapter_name(name));
    if (own == shared.end() || !is_beginning(own->second, all.back().sizes)) continue;
    all.back() = beginning(std::move(all.back()), own->second), any = true;
  }
  return any ? std::make_shared<const Checkpoint>(file->path(), all) : std::move(file);
}

}  // namespace antiphon::weights
