// Files that are written under temporary names, and the names of media in them. Used by the writers alone.
#pragma once
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include <antiphon/component/sample.h>

namespace antiphon::apps {

// Error(config) if something is there.
void check_new(const std::filesystem::path& path);
// Beside the name that the file gets.
std::filesystem::path temporary_of(const std::filesystem::path& path);
// The medium's own, or what its bytes are. Error(data) if neither says it.
std::string extension_for(const MediaRef& ref, std::string_view bytes);

// Error(config) whenever it cannot be written.
class Out {
 public:
  explicit Out(const std::filesystem::path& path);
  void write(std::string_view bytes);
  void close();

 private:
  void check();
  std::filesystem::path path_;
  std::ofstream file_;
};

}  // namespace antiphon::apps
