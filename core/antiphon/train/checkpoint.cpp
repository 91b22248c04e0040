#include <antiphon/train/checkpoint.h>

#include <fmt/format.h>
#include <unistd.h>

#include <antiphon/base/files.h>
#include <antiphon/base/log.h>
#include <antiphon/base/strings.h>

#include <algorithm>
#include <charconv>

namespace antiphon::train {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kFiles[] = {"parameters.safetensors", "state.safetensors", "progress.json"};

// The step of a folder named step_N, or -1.
int64_t step_of(const fs::path& folder) {
  const auto name = folder.filename().string();
  int64_t step = -1;
  if (!name.starts_with("step_")) return -1;
  const auto [end, error] = std::from_chars(name.data() + 5, name.data() + name.size(), step);
  return error == std::errc() && end == name.data() + name.size() ? step : -1;
}

// Newest first.
std::vector<fs::path> checkpoints(const fs::path& folder) {
  std::vector<fs::path> all;
  if (fs::is_directory(folder))
    for (const auto& entry : fs::directory_iterator(folder))
      if (entry.is_directory() && step_of(entry.path()) >= 0) all.push_back(entry.path());
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return step_of(a) > step_of(b); });
  return all;
}

void remove_leftovers(const fs::path& folder) {
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().filename().string().starts_with(".tmp-")) fs::remove_all(entry.path());
}

json read_json(const fs::path& path) {
  auto value = json::parse(read_file(path, ErrorKind::weights), nullptr, false);
  if (value.is_discarded()) fail(ErrorKind::weights, path.string() + " is damaged: not valid JSON", "use an older checkpoint");
  return value;
}

std::map<std::string, at::Tensor> read_tensors(const fs::path& path) {
  const weights::SafetensorsFile file(path);
  std::map<std::string, at::Tensor> tensors;
  for (const auto& info : file.tensors()) tensors[info.name] = file.tensor(info.name);
  return tensors;
}

}  // namespace

fs::path save_checkpoint(const fs::path& folder, int64_t step, const CheckpointContent& content, int64_t keep) {
  fs::create_directories(folder);
  remove_leftovers(folder);
  const auto temporary = folder / fmt::format(".tmp-step_{}-{}", step, ::getpid()), final_path = folder / fmt::format("step_{}", step);
  if (fs::exists(final_path)) {
    verify_checkpoint(final_path);
    return final_path;
  }
  fs::create_directory(temporary);
  weights::save_safetensors(temporary / kFiles[0], content.parameters);
  weights::save_safetensors(temporary / kFiles[1], content.state);
  write_file_atomic(temporary / kFiles[2], content.progress.dump(1), ErrorKind::weights);
  json manifest;
  for (const char* name : kFiles) manifest[name] = {{"bytes", fs::file_size(temporary / name)}, {"xxh3", content_hash(read_file(temporary / name, ErrorKind::weights))}};
  write_file_atomic(temporary / "manifest.json", manifest.dump(1), ErrorKind::weights);
  sync_path(temporary, ErrorKind::weights);
  fs::rename(temporary, final_path);
  sync_path(folder, ErrorKind::weights);
  const auto all = checkpoints(folder);
  for (size_t i = static_cast<size_t>(keep); i < all.size(); ++i) fs::remove_all(all[i]);
  return final_path;
}

void verify_checkpoint(const fs::path& checkpoint) {
  const auto manifest_path = checkpoint / "manifest.json";
  if (!fs::exists(manifest_path)) fail(ErrorKind::weights, fmt::format("{} is no complete checkpoint: it has no manifest.json", checkpoint.string()), "use another checkpoint of the run");
  const auto manifest = read_json(manifest_path);
  for (const char* name : kFiles) {
    const auto file = checkpoint / name;
    if (!manifest.contains(name)) fail(ErrorKind::weights, fmt::format("{} does not list {}", manifest_path.string(), name), "use another checkpoint of the run");
    const auto bytes = read_file(file, ErrorKind::weights);
    const auto hash = content_hash(bytes);
    if (manifest[name].value("bytes", uint64_t{0}) != bytes.size() || manifest[name].value("xxh3", "") != hash)
      fail(ErrorKind::weights, fmt::format("{} is damaged: expected {} bytes with hash {}, got {} with {}", file.string(), manifest[name]["bytes"].dump(), manifest[name]["xxh3"].dump(), bytes.size(), hash), "use another checkpoint of the run");
  }
}

std::optional<fs::path> latest_checkpoint(const fs::path& folder) {
  for (const auto& candidate : checkpoints(folder)) {
    try {
      verify_checkpoint(candidate);
      return candidate;
    } catch (const Error& error) {
      log::warning(fmt::format("passing over a damaged checkpoint: {}", error.message()));
    }
  }
  return std::nullopt;
}

LoadedCheckpoint load_checkpoint(const fs::path& checkpoint, bool with_state) {
  verify_checkpoint(checkpoint);
  LoadedCheckpoint loaded;
  loaded.parameters = read_tensors(checkpoint / kFiles[0]);
  if (with_state) loaded.state = read_tensors(checkpoint / kFiles[1]);
  loaded.progress = read_json(checkpoint / kFiles[2]);
  return loaded;
}

}  // namespace antiphon::train
