#include <common/program.h>

#include <filesystem>

namespace antiphon::apps {

std::string program_path() {
  std::error_code ignored;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", ignored);
  const auto called = self.parent_path() / "../../bin/antiphon";
  return std::filesystem::exists(called, ignored) ? called.lexically_normal().string() : self.string();
}

}  // namespace antiphon::apps
