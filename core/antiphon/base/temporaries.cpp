#include <antiphon/base/temporaries.h>

#include <antiphon/base/paths.h>

#include <signal.h>
#include <cerrno>
#include <cstdlib>
#include <string>

namespace antiphon {
namespace {

namespace fs = std::filesystem;

bool is_temporary_name(const std::string& name) {
  const auto mark = name.rfind(".tmp-");
  return mark != std::string::npos && mark + 5 < name.size() &&
         name.find_first_not_of("0123456789-", mark + 5) == std::string::npos;
}

// Whoever writes it may rename it meanwhile: then it is none.
bool is_left(const fs::path& path, std::chrono::seconds age) {
  if (!is_temporary_name(path.filename().string())) return false;
  std::error_code missing;
  const auto written = fs::last_write_time(path, missing);
  return !missing && fs::file_time_type::clock::now() - written >= age;
}

// "x.tmp-12-0" is of process 12.
pid_t maker_of(const std::string& name) { return static_cast<pid_t>(std::atoll(name.c_str() + name.rfind('.') + 5)); }

bool is_here(pid_t process) { return process > 0 && (::kill(process, 0) == 0 || errno == EPERM); }

}  // namespace

size_t remove_temporaries(const fs::path& path, std::chrono::seconds age, ErrorKind kind) {
  if (!is_folder(path, kind)) return is_left(path, age) ? remove_file(path, kind), 1 : 0;
  size_t removed = 0;
  std::error_code error;
  fs::recursive_directory_iterator entry(path, error);
  for (const fs::recursive_directory_iterator end; !error && entry != end; entry.increment(error)) {
    if (!is_left(entry->path(), age)) continue;
    remove_file(entry->path(), kind);
    ++removed;
  }
  if (error) fail_path(kind, "list", path, error.value());
  return removed;
}

void remove_abandoned(const fs::path& folder, const std::string& beginning) {
  constexpr auto kAge = std::chrono::minutes(1);
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  for (const fs::directory_iterator end; !error && entry != end; entry.increment(error)) {
    const auto name = entry->path().filename().string();
    std::error_code stays;
    if (name.starts_with(beginning) && is_left(entry->path(), kAge) && !is_here(maker_of(name)))
      fs::remove(entry->path(), stays);
  }
}

}  // namespace antiphon
