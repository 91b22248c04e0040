// A folder that goes away with the object.
#pragma once
#include <cstdlib>
#include <filesystem>
#include <string>

#include <antiphon/base/error.h>

namespace antiphon::apps::conformance {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "antiphon-conformance-XXXXXX").string();
    if (!::mkdtemp(name.data()))
      fail(ErrorKind::internal, "cannot make a folder in " + std::filesystem::temp_directory_path().string(),
           "set TMPDIR to a folder that can be written");
    path_ = name;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace antiphon::apps::conformance
