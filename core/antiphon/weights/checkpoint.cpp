#include <antiphon/weights/checkpoint.h>

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/gguf.h>
#include <antiphon/base/paths.h>
#include <antiphon/weights/gguf_checkpoint.h>
#include <antiphon/weights/json_file.h>

namespace antiphon::weights {
namespace {

namespace fs = std::filesystem;

bool is_pickle(const fs::path& path) {
  const auto extension = path.extension();
  return extension == ".bin" || extension == ".pt" || extension == ".pth" || extension == ".ckpt";
}

[[noreturn]] void fail_pickle(const fs::path& path) {
  const auto stem = path.stem().string();
  fail(ErrorKind::weights, path.string() + " is a Python pickle, which can run any code and is not read",
       fmt::format("convert it in Python: safetensors.torch.save_file(torch.load('{}', weights_only=True), "
                   "'{}.safetensors')",
                   path.filename().string(), stem == "pytorch_model" ? "model" : stem));
}

[[noreturn]] void fail_nothing(const fs::path& folder) {
  for (const auto& path : entries_of(folder, ErrorKind::weights))
    if (is_pickle(path)) fail_pickle(path);
  fail(ErrorKind::weights, folder.string() + " has no model.safetensors and no model.safetensors.index.json",
       "give a Hugging Face model folder or a .safetensors file");
}

bool is_inside(const fs::path& file, const fs::path& folder) {
  return std::mismatch(folder.begin(), folder.end(), file.begin(), file.end()).first == folder.end();
}

// Refuses names and links by which an index could make us read any file of the machine.
fs::path shard_path(const fs::path& folder, const std::string& name, const fs::path& index) {
  if (name.empty() || name == "." || name == ".." ||
      name.find_first_of(std::string_view("/\\\0", 3)) != std::string::npos) {
    fail(ErrorKind::weights,
         fmt::format("{}: {} is not the plain name of a file in this folder", index.string(),
                     nlohmann::json(name).dump()),
         "do not use this model folder");
  }
  const auto path = folder / name;
  if (path.extension() != ".safetensors")
    fail(ErrorKind::weights, fmt::format("{}: '{}' is not a .safetensors file", index.string(), name));
  if (!path_exists(path, ErrorKind::weights)) return path;  // reported with the others that are missing
  std::error_code error;
  const auto real = fs::canonical(path, error), home = fs::canonical(folder, error);
  if (error) fail_path(ErrorKind::weights, "follow", path, error.value());
  if (is_inside(real, home)) return path;
  const bool in_cache =
      home.parent_path().filename() == "snapshots" && is_inside(real, home.parent_path().parent_path() / "blobs");
  if (!in_cache)
    fail(ErrorKind::weights, fmt::format("{} is a link to {}, outside the model folder", path.string(), real.string()),
         "copy the file into the folder");
  return path;
}

const nlohmann::json& weight_map_of(const nlohmann::json& index, const fs::path& path) {
  const auto found = index.find("weight_map");
  const bool good = found != index.end() && found->is_object() && !found->empty() &&
                    std::all_of(found->begin(), found->end(), [](const auto& value) { return value.is_string(); });
  if (!good) fail(ErrorKind::weights, path.string() + ": weight_map must be an object from tensor names to file names");
  return *found;
}

// The shards that the index names, sorted. Error if files are missing.
std::set<fs::path> shards_of(const nlohmann::json& weight_map, const fs::path& folder, const fs::path& index) {
  std::set<fs::path> shards, missing;
  std::set<std::string> names;
  for (const auto& value : weight_map) names.insert(value.get<std::string>());
  for (const auto& name : names) {
    auto path = shard_path(folder, name, index);
    (path_exists(path, ErrorKind::weights) ? shards : missing).insert(std::move(path));
  }
  if (!missing.empty()) {
    fail(ErrorKind::weights,
         fmt::format("{} of {} files that {} names are missing, first {}", missing.size(), names.size(), index.string(),
                     missing.begin()->string()),
         "fetch the missing files");
  }
  return shards;
}

}  // namespace

Checkpoint::Checkpoint(const fs::path& path) : path_(path) {
  if (is_gguf(path) && !is_folder(path, ErrorKind::weights)) {
    *this = Checkpoint(path, gguf_tensors(path));
    return;
  }
  if (is_folder(path, ErrorKind::weights)) {
    open_folder();
    return;
  }
  if (!path_exists(path, ErrorKind::weights))
    fail(ErrorKind::weights, path.string() + " does not exist",
         "give a Hugging Face model folder or a .safetensors file");
  if (is_pickle(path)) fail_pickle(path);
  add(path);
}

Checkpoint::Checkpoint(const fs::path& path, const LazyTensors& tensors) : path_(path) {
  for (const auto& tensor : tensors) {
    TensorInfo info{.name = tensor.name, .dtype = dtype_of(tensor.dtype, tensor.name)};
    info.shape.assign(tensor.sizes.begin(), tensor.sizes.end());
    names_.push_back(tensor.name);
    total_bytes_ += stored_bytes(tensor);
    given_[tensor.name] = {std::move(info), tensor.values};
  }
}

void Checkpoint::open_folder() {
  const auto single = path_ / "model.safetensors", index = path_ / "model.safetensors.index.json";
  if (path_exists(single, ErrorKind::weights)) {
    add(shard_path(path_, "model.safetensors", path_));
  } else if (path_exists(index, ErrorKind::weights)) {
    open_shards(index);
  } else {
    fail_nothing(path_);
  }
}

void Checkpoint::open_shards(const fs::path& index_path) {
  const auto index = read_json_object(index_path);
  const auto& weight_map = weight_map_of(index, index_path);
  for (const auto& shard : shards_of(weight_map, path_, index_path)) add(shard);
  for (const auto& [name, file] : weight_map.items()) {
    const auto found = owner_.find(name);
    if (found == owner_.end() || found->second->path().filename() != file.get<std::string>()) {
      fail(ErrorKind::weights,
           fmt::format("{} places tensor '{}' in {}, which does not have it", index_path.string(), name,
                       file.get<std::string>()),
           "fetch the folder again: the index and the shards are of different saves");
    }
  }
  const auto metadata = index.find("metadata");
  if (metadata == index.end() || !metadata->is_object() || !metadata->contains("total_size")) return;
  const auto& size = metadata->at("total_size");
  if (size.is_number() && size.get<double>() != static_cast<double>(total_bytes_)) {
    warnings_.push_back(fmt::format("{}: metadata.total_size is {}, the tensors have {} bytes", index_path.string(),
                                    size.dump(), total_bytes_));
  }
}

void Checkpoint::add(const fs::path& path) {
  const auto& file = *files_.emplace_back(std::make_unique<SafetensorsFile>(path));
  for (const auto& info : file.tensors()) {
    const auto [place, fresh] = owner_.emplace(info.name, &file);
    if (!fresh)
      fail(ErrorKind::weights,
           fmt::format("tensor '{}' is in {} and in {}", info.name, place->second->path().string(), path.string()));
    names_.push_back(info.name);
    total_bytes_ += info.bytes();
  }
}

const Checkpoint::Given* Checkpoint::given(const std::string& name) const {
  const auto found = given_.find(name);
  return found == given_.end() ? nullptr : &found->second;
}

const TensorInfo& Checkpoint::info(const std::string& name) const {
  const auto* own = given(name);
  return own ? own->info : file_of(name).info(name);
}

at::Tensor Checkpoint::tensor(const std::string& name) const {
  const auto* own = given(name);
  return own ? own->values() : file_of(name).tensor(name);
}

at::Tensor Checkpoint::slice(const std::string& name, int64_t begin, int64_t end) const {
  const auto* own = given(name);
  return own ? own->values().narrow(0, begin, end - begin) : file_of(name).slice(name, begin, end);
}

void Checkpoint::forget(const std::string& name) const {
  if (!given(name)) file_of(name).forget(name);
}

const SafetensorsFile& Checkpoint::file_of(const std::string& name) const {
  const auto found = owner_.find(name);
  if (found == owner_.end()) fail(ErrorKind::weights, fmt::format("{} has no tensor '{}'", path_.string(), name));
  return *found->second;
}

}  // namespace antiphon::weights
