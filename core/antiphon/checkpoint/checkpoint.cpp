#include <antiphon/checkpoint/checkpoint.h>

#include <fmt/format.h>
#include <unistd.h>

#include <antiphon/base/files.h>
#include <antiphon/base/json.h>
#include <antiphon/base/log.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>
#include <antiphon/checkpoint/file_digest.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <future>

namespace antiphon::checkpoint {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr uint64_t kMaxManifest = 1 << 20, kMaxProgress = 16 << 20;  // bytes
constexpr const char* kFiles[] = {"parameters.safetensors", "state.safetensors", "progress.json"};

// The step of a folder named step_N, or -1.
int64_t step_of(const fs::path& folder) {
  const auto name = folder.filename().string();
  int64_t step = -1;
  if (!name.starts_with("step_")) return -1;
  const auto [end, error] = std::from_chars(name.data() + 5, name.data() + name.size(), step);
  return error == std::errc() && end == name.data() + name.size() ? step : -1;
}

// A folder, or a path that cannot be examined: a loop of links is a damaged checkpoint, a file is not a checkpoint.
bool may_be_checkpoint(const fs::directory_entry& entry) {
  std::error_code unknown;
  return step_of(entry.path()) >= 0 && (entry.is_directory(unknown) || unknown);
}

// Newest first.
std::vector<fs::path> checkpoints(const fs::path& folder) {
  std::vector<fs::path> all;
  if (!is_folder(folder, ErrorKind::weights)) return all;
  for (const auto& entry : fs::directory_iterator(folder))
    if (may_be_checkpoint(entry)) all.push_back(entry.path());
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return step_of(a) > step_of(b); });
  return all;
}

json read_json(const fs::path& path, uint64_t max_bytes) {
  return parse_json(read_file(path, ErrorKind::weights, max_bytes),
                    {path.string(), ErrorKind::weights, "use an older checkpoint"});
}

// Renames a checkpoint that is in the way: one newer than the step being written, which was skipped when the run was
// resumed, or a damaged one of the same step.
void set_aside(const fs::path& checkpoint) {
  auto aside = checkpoint;
  aside += ".damaged";
  fs::remove_all(aside);
  fs::rename(checkpoint, aside);
  log::warning(fmt::format("a damaged checkpoint is set aside as {}", shown(aside.string())));
}

bool is_complete(const fs::path& checkpoint) {
  try {
    verify_checkpoint(checkpoint);
    return true;
  } catch (const Error&) {
    return false;
  }
}

void write_files(const fs::path& folder, const CheckpointContent& content) {
  fs::create_directory(folder);
  const auto save = [&](const char* name, const weights::NamedTensors& tensors) {
    weights::save_safetensors(folder / name, tensors);
    return file_digest(folder / name);
  };
  json manifest;
  {  // one file's copying into the page cache and its digest while the disk is busy with the other
    auto parameters = std::async(std::launch::async, save, kFiles[0], std::cref(content.parameters));
    manifest[kFiles[1]] = save(kFiles[1], content.state);
    manifest[kFiles[0]] = parameters.get();
  }
  write_file_atomic(folder / kFiles[2], content.progress.dump(), ErrorKind::weights);
  manifest[kFiles[2]] = file_digest(folder / kFiles[2]);
  write_file_atomic(folder / "manifest.json", manifest.dump(1), ErrorKind::weights);
  sync_path(folder, ErrorKind::weights);
}

// Appears under its final name at once, or not at all: what a full disk has truncated takes no space until the next
// attempt.
void write_whole(const fs::path& temporary, const fs::path& final_path, const CheckpointContent& content) {
  try {
    write_files(temporary, content);
    fs::rename(temporary, final_path);
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
    throw;
  }
}

fs::path write_checkpoint(const fs::path& folder, int64_t step, const CheckpointContent& content, int64_t keep) {
  if (fs::create_directories(folder)) sync_folder_of(folder, ErrorKind::weights);
  remove_unfinished(folder);
  const auto temporary = folder / fmt::format(".tmp-step_{}-{}", step, ::getpid()),
             final_path = folder / fmt::format("step_{}", step);
  for (const auto& other : checkpoints(folder))
    if (step_of(other) > step) set_aside(other);
  const bool taken = fs::exists(fs::symlink_status(final_path));
  if (taken && is_complete(final_path)) return final_path;
  if (taken) set_aside(final_path);
  write_whole(temporary, final_path, content);
  sync_path(folder, ErrorKind::weights);
  remove_old(folder, step, keep);
  return final_path;
}

std::map<std::string, at::Tensor> read_tensors(const fs::path& path) {
  const weights::SafetensorsFile file(path);
  std::map<std::string, at::Tensor> tensors;
  for (const auto& info : file.tensors()) tensors[info.name] = file.tensor(info.name);
  return tensors;
}

}  // namespace

void remove_old(const fs::path& folder, int64_t step, int64_t keep) {
  auto all = checkpoints(folder);
  std::erase_if(all, [&](const fs::path& path) { return step_of(path) > step; });
  for (auto i = static_cast<size_t>(keep); i < all.size(); ++i) {
    std::error_code error;
    fs::remove_all(all[i], error);
    if (error)
      log::warning(
          fmt::format("the old checkpoint {} could not be removed: {}", shown(all[i].string()), error.message()));
  }
}

fs::path save_checkpoint(const fs::path& folder, int64_t step, const CheckpointContent& content, int64_t keep) {
  try {
    return write_checkpoint(folder, step, content, keep);
  } catch (const fs::filesystem_error& error) {
    fail(ErrorKind::weights,
         fmt::format("cannot write a checkpoint below {}: {}: {}", shown(folder.string()),
                     shown(error.path1().string()), error.code().message()),
         "check who may write there and the space on that disk");
  }
}

void remove_unfinished(const fs::path& folder) {
  if (!is_folder(folder, ErrorKind::weights)) return;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().filename().string().starts_with(".tmp-")) fs::remove_all(entry.path());
}

void verify_checkpoint(const fs::path& checkpoint) {
  const auto manifest_path = checkpoint / "manifest.json";
  if (!path_exists(manifest_path, ErrorKind::weights))
    fail(ErrorKind::weights, fmt::format("{} is no complete checkpoint: it has no manifest.json", checkpoint.string()),
         "use another checkpoint of the run");
  const auto manifest = read_json(manifest_path, kMaxManifest);
  for (const char* name : kFiles) {
    const auto file = checkpoint / name;
    if (!manifest.is_object() || !manifest.contains(name) || !manifest[name].is_object())
      fail(ErrorKind::weights, fmt::format("{} does not list {}", manifest_path.string(), name),
           "use another checkpoint of the run");
    const auto found = file_digest(file);
    if (manifest[name] != found)
      fail(ErrorKind::weights,
           fmt::format("{} is damaged: the manifest says {}, the file is {}", file.string(),
                       manifest[name].dump(-1, ' ', true, json::error_handler_t::replace), found.dump()),
           "use another checkpoint of the run");
  }
}

bool has_checkpoints(const fs::path& folder) { return !checkpoints(folder).empty(); }

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
  loaded.progress = read_json(checkpoint / kFiles[2], kMaxProgress);
  return loaded;
}

}  // namespace antiphon::checkpoint
