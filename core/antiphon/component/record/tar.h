// Members of a tar archive, one after the other: POSIX (ustar, pax) and GNU. Nothing is extracted; names are labels.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <antiphon/base/files.h>

namespace antiphon::records {

constexpr uint64_t kTarBlock = 512;

struct TarMember {
  std::string name;               // without a leading "./"
  uint64_t header = 0;            // where its first header begins
  uint64_t offset = 0, size = 0;  // its bytes
};

// Whether the bytes begin with the header of a member.
bool begins_tar(std::string_view bytes);

class TarWalk {
 public:
  // From a header on; the file must outlive it.
  explicit TarWalk(const OpenFile& file, uint64_t begin = 0) : file_(file), at_(begin) {}
  // The next regular file; folders are passed over. Nothing at the mark that ends the archive. Error(data) for links,
  // devices and sparse files, for damaged headers and names of more than 4096 bytes, and if the archive is cut short or
  // goes on after its end.
  std::optional<TarMember> next();
  // Whether what it refused is an archive that is cut short, or has other bytes than it was written with.
  bool damaged() const { return damaged_; }

 private:
  struct Header;
  struct Names;
  Header header_at(uint64_t at) const;
  std::string text_of(const Header& header) const;
  void check_end() const;
  [[noreturn]] void refuse(const std::string& why, const std::string& fix) const;
  const OpenFile& file_;
  uint64_t at_;
  mutable bool damaged_ = false;
};

}  // namespace antiphon::records
