// Finds members of archives by their names, with or without the last extension; 48 bytes in memory for each.
#pragma once
#include <optional>
#include <vector>

#include <antiphon/component/media_bytes.h>
#include <antiphon/component/record/tar.h>

namespace antiphon::records {

class TarIndex {
 public:
  // Reads all headers once, unless an index of them is kept (kept_index.h). Error(data) as TarWalk has it.
  explicit TarIndex(std::vector<std::filesystem::path> archives);
  // The member of that name, or of that name and one more extension, which is not .json (Lhotse's Shar: recordings by
  // the id of their cut); of several, the one in the last archive. Nothing if there is none.
  std::optional<MediaBytes> find(const std::string& name) const;
  // Of names, sizes and places.
  std::string fingerprint() const { return fingerprint_; }

 private:
  bool restore();
  void keep() const;
  void check_names() const;
  void add(const TarMember& member, size_t archive);
  struct Entry {
    uint64_t hash, header;
    uint64_t archive;
  };
  std::vector<std::filesystem::path> archives_;
  std::vector<Entry> entries_;  // by hash
  std::string fingerprint_;
};

}  // namespace antiphon::records
