// Finds members of archives by their names, with 24 bytes in memory for each.
#pragma once
#include <optional>
#include <vector>

#include <antiphon/component/media_bytes.h>
#include <antiphon/component/record/tar.h>

namespace antiphon::records {

class TarIndex {
 public:
  // Reads all headers once. Error(data) as TarWalk has it.
  explicit TarIndex(std::vector<std::filesystem::path> archives);
  // The member of that name; of several, the one in the last archive. Nothing if there is none.
  std::optional<MediaBytes> find(const std::string& name) const;
  size_t size() const { return entries_.size(); }
  // Of names, sizes and places.
  std::string fingerprint() const { return fingerprint_; }

 private:
  struct Entry {
    uint64_t hash, header;
    uint64_t archive;
  };
  std::vector<std::filesystem::path> archives_;
  std::vector<Entry> entries_;  // by hash
  std::string fingerprint_;
};

}  // namespace antiphon::records
