// Logs once for each file which keys of its records are not read.
#pragma once
#include <filesystem>
#include <map>
#include <set>
#include <string>

namespace antiphon::data {

class UnreadKeys {
 public:
  // Logs each key that was not reported for this file before; at most 16 per file. `line` is where it stands.
  void tell(const std::filesystem::path& file, int64_t line, const std::set<std::string>& keys);

 private:
  std::map<std::filesystem::path, std::set<std::string>> told_;
};

}  // namespace antiphon::data
