#include <antiphon/base/writable.h>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <antiphon/base/paths.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/temporaries.h>

#include <cerrno>

namespace antiphon {

namespace fs = std::filesystem;

void check_can_write(const fs::path& file, ErrorKind kind) {
  if (path_exists(file, kind)) check_replaceable(file, kind);
  auto around = file.parent_path();
  while (!around.empty() && !path_exists(around, kind)) around = around.parent_path();
  if (around.empty()) around = ".";
  const auto action = fmt::format("write {} into", shown(file.string()));
  if (!is_folder(around, kind)) fail_path(kind, action, around, ENOTDIR);
  if (::faccessat(AT_FDCWD, around.c_str(), W_OK | X_OK, AT_EACCESS) != 0) fail_path(kind, action, around, errno);
  remove_abandoned(file.has_parent_path() ? file.parent_path() : fs::path("."), file.filename().string() + ".tmp-");
}

}  // namespace antiphon
