#include <algorithm>
#include <numeric>
#include <unordered_set>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/base/strings.h>
#include <antiphon/weights/output_file.h>
#include <antiphon/weights/safetensors.h>
#include <antiphon/weights/safetensors_shard.h>

namespace antiphon::weights {
namespace {

void check_name(const std::string& name, std::unordered_set<std::string>& seen) {
  if (name == "__metadata__")
    fail(ErrorKind::weights, "a tensor may not be called '__metadata__' in a safetensors file");
  if (!is_utf8(name)) fail(ErrorKind::weights, "a tensor's name is not UTF-8");
  if (!seen.insert(name).second) fail(ErrorKind::weights, fmt::format("two tensors to save are called '{}'", name));
}

void check_data(const std::string& name, const at::Tensor& tensor) {
  if (!tensor.defined() || tensor.is_meta())
    fail(ErrorKind::weights, fmt::format("tensor '{}' has no values to save", name), "load or initialise it first");
  if (tensor.layout() != at::kStrided)
    fail(ErrorKind::weights, fmt::format("tensor '{}' is sparse, which safetensors cannot hold", name));
}

TensorInfo describe(const LazyTensor& tensor) {
  return {tensor.name,
          dtype_of(tensor.dtype, tensor.name),
          {tensor.sizes.begin(), tensor.sizes.end()},
          0,
          stored_bytes(tensor)};
}

// The reference's order: types of larger alignment first, then by name.
std::vector<size_t> reference_order(const std::vector<TensorInfo>& infos) {
  std::vector<size_t> order(infos.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return infos[a].dtype != infos[b].dtype ? infos[a].dtype > infos[b].dtype : infos[a].name < infos[b].name;
  });
  return order;
}

void write_values(OutputFile& file, const LazyTensor& tensor) {
  const auto values = tensor.values().detach().resolve_conj().resolve_neg().to(at::kCPU).contiguous();
  if (values.scalar_type() != tensor.dtype || values.sizes() != at::IntArrayRef(tensor.sizes))
    fail(ErrorKind::internal, fmt::format("tensor '{}' is not what was announced", tensor.name));
  file.write(values.const_data_ptr(), stored_bytes(values));
}

std::string make_header(const LazyTensors& tensors, const Metadata& metadata, std::vector<size_t>& order) {
  std::unordered_set<std::string> names;
  std::vector<TensorInfo> infos;
  for (const auto& tensor : tensors) {
    check_name(tensor.name, names);
    infos.push_back(describe(tensor));
  }
  for (const auto& [key, value] : metadata)
    if (!is_utf8(key) || !is_utf8(value)) fail(ErrorKind::weights, "the metadata of a safetensors file must be UTF-8");
  order = reference_order(infos);
  std::vector<TensorInfo> sorted;
  uint64_t offset = 0;
  for (const auto index : order) {
    auto& info = sorted.emplace_back(std::move(infos[index]));
    info.begin = offset;
    info.end = offset += info.end;
  }
  auto header = write_safetensors_header(sorted, metadata);
  if (tensors.size() > max_tensors || header.size() - 8 > max_header_bytes) {
    fail(ErrorKind::weights, fmt::format("{} tensors are too many for one safetensors file", tensors.size()),
         "save in smaller shards");
  }
  return header;
}

}  // namespace

uint64_t stored_bytes(const LazyTensor& tensor) {
  uint64_t bytes = c10::elementSize(tensor.dtype);
  for (const auto size : tensor.sizes) bytes *= static_cast<uint64_t>(size);
  return bytes;
}

LazyTensors lazy(const NamedTensors& tensors) {
  LazyTensors all;
  for (const auto& [name, tensor] : tensors) {
    check_data(name, tensor);
    all.push_back({name, tensor.scalar_type(), tensor.sizes().vec(), [tensor] { return tensor; }});
  }
  return all;
}

void write_safetensors(OutputFile& file, const LazyTensors& tensors, const Metadata& metadata) {
  std::vector<size_t> order;
  const auto header = make_header(tensors, metadata, order);
  file.write(header.data(), header.size());
  for (const auto index : order) write_values(file, tensors[index]);
  file.flush();
}

void save_safetensors(const std::filesystem::path& path, const NamedTensors& tensors, const Metadata& metadata) {
  save_safetensors(path, lazy(tensors), metadata);
}

void save_safetensors(const std::filesystem::path& path, const LazyTensors& tensors, const Metadata& metadata) {
  OutputFile file(path);
  write_safetensors(file, tensors, metadata);
  file.commit();
  sync_path(path.has_parent_path() ? path.parent_path() : ".", ErrorKind::weights);
}

}  // namespace antiphon::weights
