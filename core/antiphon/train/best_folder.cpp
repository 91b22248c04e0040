// The folder `best` of a run.
#include <fmt/format.h>

#include <antiphon/base/log.h>
#include <antiphon/base/shown.h>
#include <antiphon/train/best.h>

#include <algorithm>

namespace antiphon::train {
namespace {

namespace fs = std::filesystem;

std::string folder_of(int64_t step) { return fmt::format("step_{}", step); }

// Files of checkpoints are never written to again, so both may be one file. Not every file system has links.
void link_or_copy(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::create_hard_link(from, to, error);
  if (error) fs::copy_file(from, to);
}

void keep(const fs::path& checkpoint, const fs::path& best) {
  const auto temporary = best / (".tmp-" + checkpoint.filename().string());
  fs::create_directories(temporary);
  for (const auto& entry : fs::directory_iterator(checkpoint))
    link_or_copy(entry.path(), temporary / entry.path().filename());
  fs::rename(temporary, best / checkpoint.filename());
}

void remove_others(const std::vector<Measured>& kept, const fs::path& best) {
  std::vector<fs::path> others;
  for (const auto& entry : fs::directory_iterator(best)) {
    const auto name = entry.path().filename().string();
    const bool is_kept = std::ranges::any_of(kept, [&](const Measured& one) { return folder_of(one.step) == name; });
    if (!is_kept && (name.starts_with("step_") || name.starts_with(".tmp-"))) others.push_back(entry.path());
  }
  for (const auto& path : others) fs::remove_all(path);
}

}  // namespace

void keep_checkpoints_of(const std::vector<Measured>& kept, const fs::path& run) {
  const auto best = run / "best";
  try {
    if (fs::exists(best)) remove_others(kept, best);
    for (const auto& one : kept) {
      if (fs::exists(best / folder_of(one.step))) continue;
      const auto checkpoint = run / "checkpoints" / folder_of(one.step);
      if (fs::exists(checkpoint))
        keep(checkpoint, best);
      else
        log::warning(fmt::format("the checkpoint of step {}, one of the best, is no longer there", one.step));
    }
  } catch (const fs::filesystem_error& error) {
    log::warning(fmt::format("{} cannot be kept: {}: {}", shown(best.string()), shown(error.path1().string()),
                             error.code().message()));
  }
}

}  // namespace antiphon::train
