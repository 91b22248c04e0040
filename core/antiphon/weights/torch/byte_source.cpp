#include <antiphon/weights/torch/byte_source.h>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include <antiphon/base/error.h>

namespace antiphon::weights {
namespace {

struct OpenFile {
  int fd = -1;
  ~OpenFile() {
    if (fd >= 0) ::close(fd);
  }
};

void check_within(const ByteSource& source, uint64_t begin, uint64_t count) {
  if (begin <= source.size && count <= source.size - begin) return;
  fail(ErrorKind::weights,
       fmt::format("{}: {} bytes from byte {} on are asked for, and it has {}", source.name, count, begin, source.size),
       "fetch the file again: it is cut off or damaged");
}

}  // namespace

std::string ByteSource::read(uint64_t begin, uint64_t count) const {
  check_within(*this, begin, count);
  std::string bytes(count, '\0');
  if (count > 0) read_to(begin, bytes.data(), count);
  return bytes;
}

ByteSource ByteSource::part(uint64_t begin, uint64_t count, const std::string& of) const {
  check_within(*this, begin, count);
  return {fmt::format("{}: {}", name, of), count,
          [whole = read_to, begin](uint64_t at, char* to, uint64_t n) { whole(begin + at, to, n); }};
}

ByteSource open_bytes(const std::filesystem::path& path) {
  const auto file = std::make_shared<OpenFile>();
  file->fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat info {};
  if (file->fd < 0 || ::fstat(file->fd, &info) != 0)
    fail(ErrorKind::weights, fmt::format("cannot open {}: {}", path.string(), std::strerror(errno)),
         "check the path and who may read it");
  if (!S_ISREG(info.st_mode)) fail(ErrorKind::weights, path.string() + " is not a regular file");
  const auto read = [file, name = path.string()](uint64_t begin, char* to, uint64_t count) {
    while (count > 0) {
      const auto got = ::pread(file->fd, to, count, static_cast<off_t>(begin));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0)
        fail(ErrorKind::weights, fmt::format("cannot read {} at byte {}: {}", name, begin,
                                             got < 0 ? std::strerror(errno) : "it ends before"));
      begin += static_cast<uint64_t>(got), to += got, count -= static_cast<uint64_t>(got);
    }
  };
  return {path.string(), static_cast<uint64_t>(info.st_size), read};
}

}  // namespace antiphon::weights
