// A folder that goes with its object.
#pragma once
#include <filesystem>
#include <string>

namespace antiphon::apps {

class TemporaryFolder {
 public:
  // $TMPDIR/antiphon-NAME-…, or below /tmp if TMPDIR is not set or empty. Error(config) if it cannot be made.
  explicit TemporaryFolder(const std::string& name);
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder();
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace antiphon::apps
