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
  std::error_code unknown;
  const auto written = fs::last_write_time(path, unknown);
  return !unknown && fs::file_time_type::clock::now() - written >= age;
}

// "x.tmp-12-0" is of process 12.
pid_t maker_of(const std::string& name) { return static_cast<pid_t>(std::atoll(name.c_str() + name.rfind('.') + 5)); }

bool is_here(pid_t process) { return process > 0 && (::kill(process, 0) == 0 || errno == EPERM); }

// Calls visit(path) for those in the folder, and in those in it if the iterator goes there. Why it cannot be listed.
template <class Iterator, class Visit>
std::error_code for_left(const fs::path& folder, std::chrono::seconds age, const Visit& visit) {
  std::error_code error;
  Iterator entry(folder, error);
  for (const Iterator end; !error && entry != end; entry.increment(error))
    if (is_left(entry->path(), age)) visit(entry->path());
  return error;
}

}  // namespace

size_t remove_temporaries(const fs::path& path, std::chrono::seconds age, ErrorKind kind) {
  if (!is_folder(path, kind)) return is_left(path, age) ? remove_file(path, kind), 1 : 0;
  size_t removed = 0;
  const auto error = for_left<fs::recursive_directory_iterator>(path, age, [&](const fs::path& left) {
    remove_file(left, kind);
    ++removed;
  });
  if (error) fail_path(kind, "list", path, error.value());
  return removed;
}

void remove_abandoned(const fs::path& folder, const std::string& beginning) {
  for_left<fs::directory_iterator>(folder, std::chrono::minutes(1), [&](const fs::path& left) {
    const auto name = left.filename().string();
    std::error_code ignored;
    if (name.starts_with(beginning) && !is_here(maker_of(name))) fs::remove(left, ignored);
  });
}

}  // namespace antiphon
