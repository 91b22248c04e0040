#include <antiphon/model/export_tensors.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/component/token_table.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/weights/stacked.h>

#include <algorithm>

namespace antiphon::model {
namespace {

using File = std::shared_ptr<const weights::Checkpoint>;

// A copy, so that the mapping's pages can be given back at once.
at::Tensor read(const weights::Checkpoint& source, const std::string& name) {
  auto value = source.tensor(name).clone();
  source.forget(name);
  return value;
}

// What a parameter holds besides its source: a value of its own, adapters.
struct Change {
  at::Tensor value;  // undefined: the source's
  std::vector<std::shared_ptr<LinearAdapter>> adapters = {};
  bool is_bias = false;
  std::vector<std::shared_ptr<TableAdapter>> of_table = {};
  bool any() const { return value.defined() || !adapters.empty() || !of_table.empty(); }
};

// Most methods give back the bias that they get: in the file it is then the source's, byte for byte.
bool change_bias(const std::vector<std::shared_ptr<LinearAdapter>>& adapters, int64_t out) {
  const auto bias = at::zeros({out});
  return std::ranges::any_of(adapters, [&](const auto& adapter) {
    const auto merged = adapter->merged({{}, bias});
    return !merged || !merged->bias.is_same(bias);
  });
}

std::map<std::string, Change> changes_of(const Part& part) {
  std::map<std::string, Change> all;
  for (const auto& parameter : part.module->parameters()) {
    auto& change = all[parameter.name];
    if (!parameter.tensor->is_meta()) change.value = parameter.tensor->detach();
  }
  for (const auto& site : part.module->sites()) {
    all.at(join_path(site.path, "weight")).adapters = site.linear->adapters;
    if (!site.linear->bias.defined()) continue;
    auto& bias = all.at(join_path(site.path, "bias"));
    bias.is_bias = true;
    if (change_bias(site.linear->adapters, site.linear->out())) bias.adapters = site.linear->adapters;
  }
  for (const auto& site : part.module->tables())
    if (const auto own = all.find(site.path); own != all.end()) own->second.of_table = site.table->adapters;
  return all;
}

at::Tensor current(const Change& change, const at::Tensor& base) {
  auto value = change.value.defined() ? change.value : base;
  for (const auto& adapter : change.adapters) {
    const auto cpu = value.to(at::kCPU);
    const auto merged = adapter->merged(change.is_bias ? LinearBase::Plain{{}, cpu} : LinearBase::Plain{cpu, {}});
    if (!merged)
      fail(ErrorKind::config, "adapters of one of the methods cannot become part of the weights",
           "use the adapter folders of the run beside the language model's directory");
    value = change.is_bias ? merged->bias : merged->weight;
  }
  for (const auto& adapter : change.of_table) value = adapter->merged(value.to(at::kCPU));
  return value;
}

// A head that is the embedding: a second copy of it in the file would be the old one.
bool is_stale_head(const std::string& name, const std::map<std::string, Change>& changes) {
  if (!name.ends_with("lm_head.weight")) return false;
  for (const auto& [parameter, change] : changes)
    if (change.any()) return true;
  return false;
}

}  // namespace

at::ScalarType ExportTensors::format(at::ScalarType source) const {
  return dtype_ && at::isFloatingType(source) ? *dtype_ : source;
}

void ExportTensors::write(const std::string& path, weights::LazyTensor tensor, bool changed) {
  tensor.values = [values = std::move(tensor.values), dtype = tensor.dtype, sizes = tensor.sizes] {
    return values().to(dtype).reshape(sizes);  // a number without axes is a parameter of one row
  };
  owners_[tensor.name] = path;
  tensors_.push_back(std::move(tensor));
  changed_ += changed;
}

void ExportTensors::copy(const std::string& path, const std::string& name, File source,
                         const std::string& source_name) {
  const auto view = source->tensor(source_name);
  write(path, {name, format(view.scalar_type()), view.sizes().vec(), [=] { return read(*source, source_name); }},
        false);
}

void ExportTensors::add(const Part& part, File source, const Naming& written) {
  const auto changes = changes_of(part);
  auto& found = found_[part.path];
  for (const auto& name : source->names()) {
    const auto target = written(name);
    if (!target) continue;
    const auto parameter = part.names.ignores(name) ? std::nullopt : part.names.to_parameter(name);
    const auto change = parameter ? changes.find(*parameter) : changes.end();
    if (change == changes.end()) {
      if (!is_stale_head(name, changes)) copy(part.path, *target, source, name);
      continue;
    }
    found.insert(change->first);
    if (!change->second.any()) {
      copy(part.path, *target, source, name);
      continue;
    }
    const auto view = source->tensor(name);
    write(part.path,
          {*target, format(view.scalar_type()), view.sizes().vec(),
           [=, change = change->second] { return current(change, read(*source, name)); }},
          true);
  }
}

void ExportTensors::add_rest(const Part& part, const NameMap& names) {
  const auto usual = format(tensors_.empty() ? at::kFloat : dtype());
  for (const auto& [parameter, change] : changes_of(part)) {
    if (found_[part.path].contains(parameter)) continue;
    const auto name = names.to_checkpoint(parameter);
    if (!name)
      fail(ErrorKind::config,
           fmt::format("{}: '{}' of a '{}' has no name in the directory to write", part.path, parameter, part.plugin));
    if (!change.value.defined())
      fail(ErrorKind::weights, fmt::format("{}: '{}' is in none of {}", part.path, parameter, part.weights));
    write(part.path, {*name, usual, change.value.sizes().vec(), [change = change] { return current(change, {}); }},
          true);
  }
  stack(part.path, names);
}

void ExportTensors::stack(const std::string& path, const NameMap& names) {
  if (!weights::has_stacks(names)) return;
  tensors_ = weights::stacked(std::move(tensors_), names);
  for (const auto& tensor : tensors_) owners_.emplace(tensor.name, path);
}

void ExportTensors::leave_out(const std::string& name) {
  const auto found = std::ranges::find(tensors_, name, &weights::LazyTensor::name);
  if (found == tensors_.end()) return;
  owners_.erase(name);
  tensors_.erase(found);
}

at::ScalarType ExportTensors::dtype(const std::string& path) const {
  std::map<at::ScalarType, uint64_t> bytes;
  for (const auto& tensor : tensors_)
    if (at::isFloatingType(tensor.dtype) && (path.empty() || owners_.at(tensor.name) == path))
      bytes[tensor.dtype] += weights::stored_bytes(tensor);
  const auto most =
      std::max_element(bytes.begin(), bytes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == bytes.end() ? at::kFloat : most->first;
}

}  // namespace antiphon::model
