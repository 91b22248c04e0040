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
#include <antiphon/checkpoint/piece_files.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <future>

namespace antiphon::checkpoint {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr uint64_t kMaxManifest = 1 << 20, kMaxProgress = 16 << 20;  // bytes
constexpr const char *kParameters = "parameters", *kState = "state", *kProgress = "progress.json",
                     *kManifest = "manifest.json";
std::string digests_of(Share share) { return fmt::format("digests_{:05}.json", share.index + 1); }

// By how many processes a checkpoint with this manifest was written.
int shares_of(const json& manifest) {
  const auto begin = fmt::format("{}_00001-of-", kParameters);
  for (const auto& [name, digest] : manifest.items()) {
    int count = 0;
    if (!name.starts_with(begin)) continue;
    std::from_chars(name.data() + begin.size(), name.data() + name.size(), count);
    if (count > 1 && count <= kMostShares) return count;
  }
  return 1;
}

std::vector<std::string> files_of(const json& manifest) {
  std::vector<std::string> files{kProgress};
  const int count = manifest.is_object() ? shares_of(manifest) : 1;
  for (const char* kind : {kState, kParameters})
    for (int i = 0; i < count; ++i) files.push_back(file_of(kind, {i, count}));
  return files;
}

std::string name_of(int64_t step) { return fmt::format("{}{}", kNameBegin, step); }

// A folder, or a path that cannot be examined: a loop of links is a damaged checkpoint, a file is not a checkpoint.
bool may_be_checkpoint(const fs::path& path) {
  std::error_code unknown;
  return step_of(path) >= 0 && (fs::is_directory(path, unknown) || unknown);
}

// Also of a link that leads nowhere.
bool is_taken(const fs::path& path) {
  std::error_code unknown;
  return fs::exists(fs::symlink_status(path, unknown));
}

// Newest first.
std::vector<fs::path> checkpoints(const fs::path& folder) {
  std::vector<fs::path> all;
  if (!is_folder(folder, ErrorKind::weights)) return all;
  for (auto& path : entries_of(folder, ErrorKind::weights))
    if (may_be_checkpoint(path)) all.push_back(std::move(path));
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
  remove_tree(aside, ErrorKind::weights);
  rename_path(checkpoint, aside, ErrorKind::weights);
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

// Of the files, as a manifest has them.
json write_files(const fs::path& folder, const CheckpointContent& content, Share share) {
  const auto save = [&](const std::string& name, const weights::NamedTensors& tensors) {
    save_pieces(folder / name, tensors, content.boxes);
    return file_digest(folder / name);
  };
  const auto parameters_file = file_of(kParameters, share), state_file = file_of(kState, share);
  json digests;
  {  // one file's copying into the page cache and its digest while the disk is busy with the other
    auto parameters = std::async(std::launch::async, save, parameters_file, std::cref(content.parameters));
    digests[state_file] = save(state_file, content.state);
    digests[parameters_file] = parameters.get();
  }
  if (share.index > 0) return digests;
  write_file_atomic(folder / kProgress, content.progress.dump(), ErrorKind::weights);
  digests[kProgress] = file_digest(folder / kProgress);
  return digests;
}

// Appears under its final name at once, or not at all: what a full disk has truncated takes no space until the next
// attempt.
template <class Body>
void complete(const fs::path& temporary, const fs::path& final_path, const Body& body) {
  try {
    write_file_atomic(temporary / kManifest, body().dump(1), ErrorKind::weights);
    sync_path(temporary, ErrorKind::weights);
    rename_path(temporary, final_path, ErrorKind::weights);
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
    throw;
  }
}

// Of a checkpoint that is written: none if it is there already.
std::optional<fs::path> room_for(const fs::path& folder, int64_t step) {
  make_folder(folder, ErrorKind::weights);
  remove_unfinished(folder);
  const auto final_path = path_of(folder, step);
  for (const auto& other : checkpoints(folder))
    if (step_of(other) > step) set_aside(other);
  const bool taken = is_taken(final_path);
  if (taken && is_complete(final_path)) return std::nullopt;
  if (taken) set_aside(final_path);
  return final_path;
}

// Its name need not outlive a power failure, so nothing is flushed.
void make_temporary(const fs::path& temporary) {
  std::error_code error;
  fs::create_directory(temporary, error);
  if (error) fail_path(ErrorKind::weights, "create the folder", temporary, error.value());
}

fs::path finished(const fs::path& folder, int64_t step, int64_t keep) {
  sync_path(folder, ErrorKind::weights);
  remove_old(folder, step, keep);
  return path_of(folder, step);
}

// Of several processes, which know it by its name.
fs::path temporary_of(const SharedPlace& place) {
  return place.folder / fmt::format(".tmp-{}-of-{}", name_of(place.step), place.attempt);
}

json joined_digests(const fs::path& temporary, int count) {
  json manifest;
  for (int i = 0; i < count; ++i) {
    const auto file = temporary / digests_of({i, count});
    manifest.update(read_json(file, kMaxManifest));
    remove_file(file, ErrorKind::weights);
  }
  return manifest;
}

}  // namespace

fs::path path_of(const fs::path& folder, int64_t step) { return folder / name_of(step); }

int64_t step_of(const fs::path& checkpoint) {
  const auto name = checkpoint.filename().string();
  int64_t step = -1;
  if (!name.starts_with(kNameBegin)) return -1;
  const auto* number = name.data() + std::string_view(kNameBegin).size();
  const auto [end, error] = std::from_chars(number, name.data() + name.size(), step);
  return error == std::errc() && end == name.data() + name.size() ? step : -1;
}

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

// The newest first: whatever is left if the process is killed meanwhile, the run goes on from it to the same.
void remove_after(const fs::path& folder, int64_t step) {
  for (const auto& path : checkpoints(folder)) {
    if (step_of(path) <= step) return;
    std::error_code error;
    fs::remove_all(path, error);
    if (error)
      fail(ErrorKind::weights,
           fmt::format("the checkpoint {}, of steps that were given up, could not be removed: {}", shown(path.string()),
                       error.message()),
           "remove it by hand, and go on with --resume");
    log::info(fmt::format("the checkpoint {} is removed: its steps were given up", shown(path.string())));
  }
}

fs::path save_checkpoint(const fs::path& folder, int64_t step, const CheckpointContent& content, int64_t keep) {
  const auto temporary = folder / fmt::format(".tmp-{}-{}", name_of(step), ::getpid());
  const auto final_path = room_for(folder, step);
  if (!final_path) return path_of(folder, step);
  complete(temporary, *final_path, [&] {
    make_temporary(temporary);
    return write_files(temporary, content, {});
  });
  return finished(folder, step, keep);
}

void prepare_checkpoint(const SharedPlace& place) {
  room_for(place.folder, place.step);
  make_temporary(temporary_of(place));
}

void write_share(const SharedPlace& place, const CheckpointContent& content, Share share) {
  const auto temporary = temporary_of(place);
  const auto digests = write_files(temporary, content, share);
  write_file_atomic(temporary / digests_of(share), digests.dump(), ErrorKind::weights);
}

fs::path finish_checkpoint(const SharedPlace& place, int count, int64_t keep) {
  const auto temporary = temporary_of(place), final_path = path_of(place.folder, place.step);
  if (is_taken(final_path))  // by a run that was killed before it had removed the old ones
    remove_tree(temporary, ErrorKind::weights);
  else
    complete(temporary, final_path, [&] { return joined_digests(temporary, count); });
  return finished(place.folder, place.step, keep);
}

void abandon_checkpoint(const SharedPlace& place) {
  std::error_code ignored;
  fs::remove_all(temporary_of(place), ignored);
}

void remove_unfinished(const fs::path& folder) {
  if (!is_folder(folder, ErrorKind::weights)) return;
  for (const auto& path : entries_of(folder, ErrorKind::weights))
    if (path.filename().string().starts_with(".tmp-")) remove_tree(path, ErrorKind::weights);
}

void verify_checkpoint(const fs::path& checkpoint) {
  const auto manifest_path = checkpoint / kManifest;
  if (!path_exists(manifest_path, ErrorKind::weights))
    fail(ErrorKind::weights,
         fmt::format("{} is not a complete checkpoint: it has no manifest.json", checkpoint.string()),
         "use another checkpoint of the run");
  const auto manifest = read_json(manifest_path, kMaxManifest);
  for (const auto& name : files_of(manifest)) {
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

std::optional<fs::path> latest_checkpoint(const fs::path& folder, int64_t before) {
  for (const auto& candidate : checkpoints(folder)) {
    if (step_of(candidate) >= before) continue;
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
  return read_checkpoint(checkpoint, with_state);
}

LoadedCheckpoint read_checkpoint(const fs::path& checkpoint, bool with_state) {
  const int shares = shares_of(read_json(checkpoint / kManifest, kMaxManifest));
  LoadedCheckpoint loaded;
  loaded.parameters = read_all(checkpoint, kParameters, shares);
  if (with_state) loaded.state = read_all(checkpoint, kState, shares);
  loaded.progress = read_json(checkpoint / kProgress, kMaxProgress);
  return loaded;
}

weights::Checkpoint parameters_of(const fs::path& checkpoint, const std::string& prefix) {
  const int shares = shares_of(read_json(checkpoint / kManifest, kMaxManifest));
  weights::LazyTensors tensors;
  for (const auto& [name, tensor] : read_all(checkpoint, kParameters, shares))
    if (name.starts_with(prefix))
      tensors.push_back({name, tensor.dtype(), tensor.sizes(), [tensor] { return tensor.whole(); }});
  return weights::Checkpoint(checkpoint, tensors);
}

}  // namespace antiphon::checkpoint
