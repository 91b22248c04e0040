#include <antiphon/base/paths.h>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace antiphon {

namespace fs = std::filesystem;

bool path_exists(const fs::path& path, ErrorKind kind) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0) return true;
  if (errno != ENOENT && errno != ENOTDIR) fail_path(kind, "look at", path, errno);
  return false;
}

bool is_folder(const fs::path& path, ErrorKind kind) {
  struct stat info {};
  return path_exists(path, kind) && ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

void make_folder(const fs::path& path, ErrorKind kind) {
  std::error_code error;
  const bool is_new = fs::create_directories(path, error);
  if (error) fail_path(kind, "create the folder", path, error.value());
  if (is_new) sync_folder_of(path, kind);
}

std::vector<fs::path> entries_of(const fs::path& folder, ErrorKind kind) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
    entries.push_back(at->path());
  if (error) fail_path(kind, "list", folder, error.value());
  std::sort(entries.begin(), entries.end());
  return entries;
}

void remove_file(const fs::path& path, ErrorKind kind) {
  std::error_code error;
  fs::remove(path, error);
  if (error) fail_path(kind, "remove", path, error.value());
}

void remove_tree(const fs::path& path, ErrorKind kind) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) fail_path(kind, "remove", path, error.value());
}

void rename_path(const fs::path& from, const fs::path& to, ErrorKind kind) {
  std::error_code error;
  fs::rename(from, to, error);
  if (error) fail_path(kind, fmt::format("rename {} to", shown(from.string())), to, error.value());
}

void check_replaceable(const fs::path& path, ErrorKind kind) {
  std::error_code unknown;  // the write says it
  const auto status = fs::status(path, unknown);
  if (fs::is_directory(status)) fail_path(kind, "write", path, EISDIR);
  const bool is_stream = fs::read_symlink(path, unknown).native().starts_with("/proc/");  // /dev/stdout in a file
  if (is_stream || (fs::exists(status) && !fs::is_regular_file(status)))
    fail(kind, fmt::format("cannot write {}: it is not a regular file, and would be replaced", shown(path.string())),
         "name a file");
}

fs::path absolute_path(const fs::path& path, ErrorKind kind) {
  std::error_code error;
  auto absolute = fs::absolute(path, error);
  if (error) fail_path(kind, "find", path, error.value());
  return absolute;
}

std::string path_text(const fs::path& path, ErrorKind kind) {
  if (!is_utf8(path.native()))
    fail(kind, fmt::format("the path {} is not UTF-8, and JSON holds nothing else", shown(path.string())),
         "give the file and the folders around it names in UTF-8");
  return path.string();
}

// Some file systems cannot flush a folder, and some folders can be written into but not opened.
void sync_folder_of(const fs::path& file, ErrorKind kind) {
  const auto folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
  const int fd = ::open(folder.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECTORY);
  if (fd < 0) return;
  const int code = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  if (code != 0 && code != EINVAL && code != ENOTSUP) fail_path(kind, "flush", folder, code);
}

void fail_path(ErrorKind kind, std::string_view action, const fs::path& path, int code) {
  fail(kind, fmt::format("cannot {} {}: {}", action, shown(path.string()), std::strerror(code)),
       code == ENOSPC   ? "free some space on that disk"
       : code == EACCES ? "check who may read and write there"
                        : "");
}

}  // namespace antiphon
