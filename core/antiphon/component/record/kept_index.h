// Indexes that are kept beside data files, so that a run finds their records without reading all of them first. They
// are made by `antiphon data index` alone, and hold as long as each file has the size and the time of change that it
// had.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace antiphon::records {

struct KeptIndex {
  std::string fingerprint;       // of what was read
  std::vector<int64_t> numbers;  // what the source makes of them
};

// The index of these files, if one is kept; `kind` says what its numbers mean, with all options that they depend on.
// One that is damaged or of files that have changed is a warning, and nothing. Error(data) if a file cannot be looked
// at; Error(config), while a KeepIndexes lives, if none could be written there.
std::optional<KeptIndex> kept_index(const std::vector<std::filesystem::path>& files, const std::string& kind);
// Writes it beside the first of the files, while a KeepIndexes lives; else does nothing. Error(config) if it cannot.
void keep_index(const std::vector<std::filesystem::path>& files, const std::string& kind, const KeptIndex& index);

// While it lives, sources that are opened in this process keep their indexes. One at a time.
class KeepIndexes {
 public:
  KeepIndexes();
  KeepIndexes(const KeepIndexes&) = delete;
  ~KeepIndexes();
  struct Counts {
    int64_t built = 0, current = 0;  // written; found as they were
    int64_t bytes = 0;               // of both
  };
  // Since the last call.
  static Counts take();
};

}  // namespace antiphon::records
