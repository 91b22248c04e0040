#include <antiphon/weights/checkpoint.h>

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/gguf.h>
#include <antiphon/base/paths.h>
#include <antiphon/weights/bitsandbytes.h>
#include <antiphon/weights/gguf_checkpoint.h>
#include <antiphon/weights/json_file.h>
#include <antiphon/weights/nemo.h>
#include <antiphon/weights/torch/torch_file.h>

namespace antiphon::weights {
namespace {

namespace fs = std::filesystem;

bool is_torch_file(const fs::path& path) {
  const auto extension = path.extension();
  return extension == ".bin" || extension == ".pt" || extension == ".pth" || extension == ".ckpt";
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
  if (path.extension() != ".safetensors" && !is_torch_file(path))
    fail(ErrorKind::weights, fmt::format("{}: '{}' is not a .safetensors or .bin file", index.string(), name));
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

bool is_checkpoint_file(const fs::path& path) {
  std::error_code unknown;
  return fs::is_regular_file(path, unknown) &&
         (path.extension() == ".safetensors" || is_torch_file(path) || is_gguf(path) || is_nemo(path));
}

bool has_checkpoint(const fs::path& folder) {
  return std::ranges::any_of(kCheckpointNames, [&](const auto& names) {
    return path_exists(folder / names.first, ErrorKind::weights) ||
           path_exists(folder / names.second, ErrorKind::weights);
  });
}

Checkpoint::Checkpoint(const fs::path& path) : path_(path) {
  if (is_folder(path, ErrorKind::weights)) {
    open_folder();
    read_four_bits();
    return;
  }
  if (!path_exists(path, ErrorKind::weights))
    fail(ErrorKind::weights, path.string() + " does not exist",
         "give a Hugging Face model folder or a .safetensors file");
  add(path);
  read_four_bits();
}

void Checkpoint::read_four_bits() {
  const auto find = [this](const std::string& name) {
    return contains(name) ? std::optional(tensor(name)) : std::nullopt;
  };
  std::set<std::string> states;
  for (const auto& name : names_) {
    const auto matrix = FourBits::matrix_of(name);
    if (!matrix) continue;
    const auto bits =
        with_context("reading " + path_.string(), [&] { return std::make_shared<const FourBits>(*matrix, find); });
    TensorInfo info{*matrix, dtype_of(bits->dtype(), *matrix), {}, 0, 0};
    info.shape.assign(bits->sizes().begin(), bits->sizes().end());
    given_[*matrix] = {std::move(info), [bits] { return bits->values(); }};
    for (auto& state : FourBits::state_names(*matrix)) states.insert(std::move(state));
  }
  std::erase_if(names_, [&](const auto& name) { return states.contains(name); });
}

Checkpoint::Checkpoint(const fs::path& path, const LazyTensors& tensors) : path_(path) { add(path, tensors); }

void Checkpoint::add(const fs::path& path, const LazyTensors& tensors) {
  for (const auto& tensor : tensors) {
    TensorInfo info{tensor.name, dtype_of(tensor.dtype, tensor.name), {}, 0, 0};
    info.shape.assign(tensor.sizes.begin(), tensor.sizes.end());
    note(tensor.name, path);
    total_bytes_ += stored_bytes(tensor);
    given_[tensor.name] = {std::move(info), tensor.values, tensor.forget};
  }
}

void Checkpoint::open_folder() {
  for (const auto& [single, index] : kCheckpointNames) {
    if (path_exists(path_ / single, ErrorKind::weights)) return add(shard_path(path_, single, path_));
    if (path_exists(path_ / index, ErrorKind::weights)) return open_shards(path_ / index);
  }
  fail(ErrorKind::weights, path_.string() + " has no model.safetensors and no model.safetensors.index.json",
       "give a Hugging Face model folder or a .safetensors file");
}

void Checkpoint::open_shards(const fs::path& index_path) {
  const auto index = read_json_object(index_path);
  const auto& weight_map = weight_map_of(index, index_path);
  for (const auto& shard : shards_of(weight_map, path_, index_path)) add(shard);
  for (const auto& [name, file] : weight_map.items()) {
    const auto found = places_.find(name);
    if (found == places_.end() || found->second.filename() != file.get<std::string>()) {
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

void Checkpoint::note(const std::string& name, const fs::path& path) {
  const auto [place, fresh] = places_.emplace(name, path);
  if (!fresh)
    fail(ErrorKind::weights,
         fmt::format("tensor '{}' is in {} and in {}", name, place->second.string(), path.string()));
  names_.push_back(name);
}

void Checkpoint::add(const fs::path& path) {
  if (is_gguf(path)) return add(path, gguf_tensors(path));
  if (is_nemo(path)) return add(path, nemo_tensors(path, warnings_));
  if (is_torch_file(path)) return add(path, torch_tensors(open_bytes(path), warnings_));
  const auto& file = *files_.emplace_back(std::make_unique<SafetensorsFile>(path));
  for (const auto& info : file.tensors()) {
    note(info.name, path);
    owner_.emplace(info.name, &file);
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
  return own ? own->values().narrow(0, begin, end - begin).clone() : file_of(name).slice(name, begin, end);
}

void Checkpoint::forget(const std::string& name) const {
  const auto* own = given(name);
  if (!own) return file_of(name).forget(name);
  if (own->forget) own->forget();
}

const SafetensorsFile& Checkpoint::file_of(const std::string& name) const {
  const auto found = owner_.find(name);
  if (found == owner_.end()) fail(ErrorKind::weights, fmt::format("{} has no tensor '{}'", path_.string(), name));
  return *found->second;
}

int64_t tensors_outside(const std::filesystem::path& folder, const std::string& prefix) {
  const auto is_there = [&](const char* name) { return path_exists(folder / name, ErrorKind::weights); };
  if (std::ranges::none_of(kCheckpointNames,
                           [&](const auto& one) { return is_there(one.first) || is_there(one.second); }))
    return 0;
  return std::ranges::count_if(Checkpoint(folder).names(), [&](const auto& name) { return !name.starts_with(prefix); });
}

LazyTensor lazily(const std::shared_ptr<const Checkpoint>& file, const std::string& tensor, const std::string& name) {
  const auto& info = file->info(tensor);
  return {name,
          scalar_type_of(info, file->path()),
          {info.shape.begin(), info.shape.end()},
          [file, tensor] { return file->tensor(tensor); },
          [file, tensor] { file->forget(tensor); }};
}

}  // namespace antiphon::weights
