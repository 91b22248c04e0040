// A file that is hashed as its pieces are read, so that who goes through it has its hash without reading it again.
#pragma once
#include <mutex>

#include <antiphon/base/files.h>

namespace antiphon::json_lines {

class HashedFile {
 public:
  // Error(data) if it is missing or not regular.
  explicit HashedFile(const std::filesystem::path& path) : file_(path, ErrorKind::data) {}

  const std::filesystem::path& path() const { return file_.path(); }
  // As OpenFile's, from many threads.
  std::string read(uint64_t offset, uint64_t size) const;
  // content_hash() of the file. Reads what nobody has read yet, or not in order.
  std::string hash() const;

 private:
  void add(std::string_view bytes) const;

  OpenFile file_;
  mutable std::mutex mutex_;
  mutable ContentHash hash_;
  mutable uint64_t hashed_ = 0;  // bytes from the beginning on
};

}  // namespace antiphon::json_lines
