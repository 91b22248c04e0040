// A file that appears under its name only when it is complete.
#pragma once
#include <filesystem>

namespace antiphon::weights {

class OutputFile {
 public:
  // Creates "<path>.tmp-<pid>-<n>", or a file called so in `unfinished`, a folder of the same file system.
  // Error(weights).
  explicit OutputFile(std::filesystem::path path, const std::filesystem::path& unfinished = {});
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  // Removes the temporary file unless it was committed.
  ~OutputFile();

  void write(const void* data, size_t bytes);
  // Flushes the bytes to the disk; nothing may be written afterwards.
  void flush();
  // Renames the file over the target.
  void commit();

 private:
  [[noreturn]] void fail_io(const char* action) const;
  std::filesystem::path path_, temporary_;
  int fd_ = -1;
  bool committed_ = false;
};

}  // namespace antiphon::weights
