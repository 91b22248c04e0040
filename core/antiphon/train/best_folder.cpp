// The folder `best` of a run.
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/log.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/shown.h>
#include <antiphon/checkpoint/checkpoint.h>
#include <antiphon/train/best.h>

#include <algorithm>

namespace antiphon::train {
namespace {

namespace fs = std::filesystem;
using checkpoint::path_of;

constexpr auto kKind = ErrorKind::weights;

// Files of checkpoints are never written to again, so both may be one file. Not every file system has links.
void link_or_copy(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::create_hard_link(from, to, error);
  if (!error) return;
  fs::copy_file(from, to, error);
  if (error) fail_path(kKind, "copy", from, error.value());
}

void keep(const fs::path& checkpoint, const fs::path& best) {
  const auto temporary = best / (".tmp-" + checkpoint.filename().string());
  remove_tree(temporary, kKind);  // of a process that was killed
  make_folder(temporary, kKind);
  for (const auto& file : entries_of(checkpoint, kKind)) link_or_copy(file, temporary / file.filename());
  rename_path(temporary, best / checkpoint.filename(), kKind);
}

void remove_others(const std::vector<Measured>& kept, const fs::path& best) {
  for (const auto& path : entries_of(best, kKind)) {
    const auto name = path.filename().string();
    const bool is_kept =
        std::ranges::any_of(kept, [&](const Measured& one) { return path_of(best, one.step) == path; });
    if (!is_kept && (name.starts_with(checkpoint::kNameBegin) || name.starts_with(".tmp-"))) remove_tree(path, kKind);
  }
}

}  // namespace

void keep_checkpoint(int64_t step, const fs::path& run) {
  const auto folder = run / "kept", checkpoint = path_of(run / "checkpoints", step);
  try {
    if (!path_exists(path_of(folder, step), kKind)) keep(checkpoint, folder);
    log::info(fmt::format("the checkpoint of step {} stays in {}", step, shown(folder.string())));
  } catch (const Error& error) {
    log::warning(fmt::format("{} cannot be kept: {}", shown(checkpoint.string()), error.message()));
  }
}

void keep_checkpoints_of(const std::vector<Measured>& kept, const fs::path& run) {
  const auto best = run / "best";
  try {
    if (path_exists(best, kKind)) remove_others(kept, best);
    for (const auto& one : kept) {
      if (path_exists(path_of(best, one.step), kKind)) continue;
      const auto checkpoint = path_of(run / "checkpoints", one.step);
      if (path_exists(checkpoint, kKind))
        keep(checkpoint, best);
      else
        log::warning(fmt::format("the checkpoint of step {}, one of the best, is no longer there", one.step));
    }
  } catch (const Error& error) {
    log::warning(fmt::format("{} cannot be kept: {}", shown(best.string()), error.message()));
  }
}

}  // namespace antiphon::train
