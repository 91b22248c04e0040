// A gzip file's text, read forwards. Sources: RFC 1951 and 1952; zlib.h on inflate() with Z_BLOCK, inflatePrime() and
// inflateSetDictionary().
#pragma once
#include <zlib.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "hashed_file.h"

namespace antiphon::json_lines {

// By the first bytes of a file.
bool is_gzip(std::string_view start);
// The text of the first bytes of a gzip file, as far as it can be told.
std::string unpacked(std::string_view start);

// A place between two blocks of the packed bytes; the default: the beginning.
struct GzipPlace {
  uint64_t text = 0, packed = 0;  // bytes before it
  int bits = 0;                   // of the last byte before it that belong to what follows
  std::string window = {};        // the text before it, which the next block may repeat
};

class GzipReader {
 public:
  explicit GzipReader(const HashedFile& file, const GzipPlace& from = {});
  GzipReader(const GzipReader&) = delete;
  ~GzipReader() { inflateEnd(&stream_); }
  // Text of at most 64 KiB, valid until the next call; empty at the end. Error(data) if the file is damaged, ends too
  // early, or has text with another checksum than it says.
  std::string_view next();
  // The place after what next() has given, if another reader can begin there.
  std::optional<GzipPlace> place();

 private:
  bool fill();
  void begin_at(const GzipPlace& from);
  void end_member();
  uint64_t packed() const { return read_ - stream_.avail_in; }
  [[noreturn]] void refuse(const char* reason) const;

  const HashedFile& file_;
  z_stream stream_{};
  std::string in_, out_;
  uint64_t read_ = 0, text_ = 0;  // bytes of the file; of the text
  bool bare_ = false;             // within a member whose beginning was not read
  bool ended_ = false;
};

}  // namespace antiphon::json_lines
