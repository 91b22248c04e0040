#include <algorithm>
#include <memory>
#include <set>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/strings.h>
#include <antiphon/weights/checkpoint.h>
#include <antiphon/weights/json_file.h>
#include <antiphon/weights/safetensors_shard.h>

namespace antiphon::weights {
namespace {

namespace fs = std::filesystem;

const Metadata hugging_face{{"format", "pt"}};

// Splits in the given order; a new shard begins where the next tensor would not fit.
std::vector<LazyTensors> split_shards(const LazyTensors& tensors, uint64_t max_bytes) {
  std::vector<LazyTensors> shards(1);
  uint64_t used = 0;
  for (const auto& entry : tensors) {
    const auto bytes = stored_bytes(entry);
    if (!shards.back().empty() && bytes > max_bytes - std::min(used, max_bytes)) {
      shards.emplace_back();
      used = 0;
    }
    used += bytes;
    shards.back().push_back(entry);
  }
  return shards;
}

std::vector<std::string> file_names(size_t count) {
  if (count == 1) return {"model.safetensors"};
  std::vector<std::string> names;
  for (size_t i = 1; i <= count; ++i) names.push_back(fmt::format("model-{:05}-of-{:05}.safetensors", i, count));
  return names;
}

void write_index(const fs::path& folder, const std::vector<LazyTensors>& shards,
                 const std::vector<std::string>& files) {
  nlohmann::json weight_map = nlohmann::json::object();
  uint64_t total = 0;
  for (size_t i = 0; i < shards.size(); ++i) {
    for (const auto& tensor : shards[i]) {
      if (!weight_map.emplace(tensor.name, files[i]).second)
        fail(ErrorKind::weights, fmt::format("two tensors to save are called '{}'", tensor.name));
      total += stored_bytes(tensor);
    }
  }
  write_json(folder / "model.safetensors.index.json",
             {{"metadata", {{"total_size", total}}}, {"weight_map", weight_map}});
}

// A stale single file or index would be read instead of what was just saved.
void remove_stale(const fs::path& folder, const std::vector<std::string>& files) {
  std::set<fs::path> stale;
  for (const auto& path : entries_of(folder, ErrorKind::weights)) {
    const auto name = path.filename().string();
    const bool ours = name == "model.safetensors" || glob_match("model-*-of-*.safetensors", name) ||
                      (files.size() == 1 && name == "model.safetensors.index.json");
    if (ours && std::find(files.begin(), files.end(), name) == files.end()) stale.insert(path);
  }
  for (const auto& path : stale) remove_file(path, ErrorKind::weights);
}

void check_names(const LazyTensors& tensors) {
  std::set<std::string> names;
  for (const auto& tensor : tensors)
    if (!names.insert(tensor.name).second)
      fail(ErrorKind::weights, fmt::format("two tensors to save are called '{}'", tensor.name));
}

}  // namespace

void save_checkpoint(const fs::path& folder, const NamedTensors& tensors, uint64_t max_shard_bytes) {
  save_checkpoint(folder, lazy(tensors), max_shard_bytes);
}

void save_checkpoint(const fs::path& folder, const LazyTensors& tensors, uint64_t max_shard_bytes) {
  check_names(tensors);
  make_folder(folder, ErrorKind::weights);
  const auto shards = split_shards(tensors, max_shard_bytes);
  const auto files = file_names(shards.size());
  std::vector<std::unique_ptr<OutputFile>> outputs;
  for (size_t i = 0; i < shards.size(); ++i) {
    outputs.push_back(std::make_unique<OutputFile>(folder / files[i]));
    write_safetensors(*outputs.back(), shards[i], hugging_face);
  }
  for (const auto& output : outputs) output->commit();
  if (shards.size() > 1) write_index(folder, shards, files);
  remove_stale(folder, files);
  sync_path(folder, ErrorKind::weights);
}

}  // namespace antiphon::weights
