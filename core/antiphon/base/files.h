// Files: reads of the whole or of pieces, atomic writes, content hashes.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include <antiphon/base/error.h>

namespace antiphon {

// The bytes of a file. Errors of `kind` if it is missing, not regular or too large; `preempted` for data if the disk
// fails.
std::string read_file(const std::filesystem::path& path, ErrorKind kind, uint64_t max_bytes = UINT64_MAX);

// A file that is read in pieces, from many threads, and does not change meanwhile.
class OpenFile {
 public:
  // Error(kind) if it is missing or not regular.
  OpenFile(std::filesystem::path path, ErrorKind kind);
  OpenFile(const OpenFile&) = delete;
  ~OpenFile();

  const std::filesystem::path& path() const { return path_; }
  uint64_t size() const { return size_; }
  // The bytes from `offset` on, `size` of them or as many as there are. Error(preempted) if the file has changed since
  // it was opened (size or time of change), or if the disk fails.
  std::string read(uint64_t offset, uint64_t size) const;

 private:
  void check_unchanged() const;
  std::filesystem::path path_;
  ErrorKind kind_;
  int fd_ = -1;
  uint64_t size_ = 0;
  int64_t changed_ns_ = 0;
};

// Writes a file beside `path`, fsyncs it and renames it over `path`: a reader sees the old or the new content, never a
// part. Error, too, for what check_replaceable() refuses.
void write_file_atomic(const std::filesystem::path& path, std::string_view bytes, ErrorKind kind);

// Flushes a file or a directory to the disk.
void sync_path(const std::filesystem::path& path, ErrorKind kind);

// 128-bit XXH3 of the bytes, 32 hexadecimal digits.
std::string content_hash(std::string_view bytes);

// The same of bytes that come in pieces.
class ContentHash {
 public:
  ContentHash();
  ~ContentHash();
  void add(std::string_view bytes);
  std::string digits() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace antiphon
