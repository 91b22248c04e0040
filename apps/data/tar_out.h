// A tar archive that is written member by member. Used by the writers alone. Source: POSIX.1-2017, pax, "ustar
// Interchange Format"; GNU tar, "Basic Tar Format" (names of 100 bytes and more).
#pragma once
#include <filesystem>
#include <string>
#include <string_view>

#include <data/written_file.h>

namespace antiphon::apps {

class TarOut {
 public:
  explicit TarOut(const std::filesystem::path& path) : out_(path) {}
  void write(const std::string& name, std::string_view bytes);
  void close();

 private:
  void write_member(const std::string& name, char type, std::string_view bytes);
  Out out_;
};

}  // namespace antiphon::apps
