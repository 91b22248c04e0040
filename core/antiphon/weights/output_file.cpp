#include <antiphon/weights/output_file.h>

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/paths.h>

namespace antiphon::weights {

OutputFile::OutputFile(std::filesystem::path path, const std::filesystem::path& unfinished) : path_(std::move(path)) {
  static std::atomic<unsigned> counter{0};
  do {  // a killed process may have had the same pid
    temporary_ = unfinished.empty() ? path_ : unfinished / path_.filename();
    temporary_ += fmt::format(".tmp-{}-{}", ::getpid(), counter++);
    fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  } while (fd_ < 0 && errno == EEXIST);
  if (fd_ < 0) fail_io("create");
}

OutputFile::~OutputFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!committed_) ::unlink(temporary_.c_str());
}

void OutputFile::fail_io(const char* action) const {
  const int code = errno;
  fail(ErrorKind::weights,
       fmt::format("cannot {} {}: {}; a file that was there before is unchanged", action, path_.string(),
                   std::strerror(code)),
       code == ENOSPC || code == EDQUOT ? "free some space on that disk"
       : code == EFBIG                  ? "raise the limit on file sizes (ulimit -f), or save in smaller shards"
       : code == ENOENT                 ? "create the folder first"
                                        : "check who may write there");
}

void OutputFile::write(const void* data, size_t bytes) {
  const char* at = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t n = ::write(fd_, at, bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_io("write");
    at += n;
    bytes -= static_cast<size_t>(n);
  }
}

void OutputFile::flush() {
  if (::fsync(fd_) != 0) fail_io("flush");
  const int fd = std::exchange(fd_, -1);
  if (::close(fd) != 0) fail_io("close");
}

void OutputFile::commit() {
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail_io("rename");
  committed_ = true;
  sync_folder_of(path_, ErrorKind::weights);
}

}  // namespace antiphon::weights
