#include <common/temporary_folder.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace antiphon::apps {

TemporaryFolder::TemporaryFolder(const std::string& name) {
  const char* named = std::getenv("TMPDIR");
  const std::filesystem::path around = named && *named ? named : "/tmp";
  auto made = (around / ("antiphon-" + name + "-XXXXXX")).string();
  if (!::mkdtemp(made.data()))
    fail(ErrorKind::config,
         fmt::format("cannot make a temporary folder in {}: {}", shown(around.string()), std::strerror(errno)),
         "let TMPDIR name a folder that can be written, on a disk with room");
  path_ = made;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace antiphon::apps
