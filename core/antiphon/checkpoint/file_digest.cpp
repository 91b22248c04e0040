#include <antiphon/checkpoint/file_digest.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <antiphon/base/files.h>

namespace antiphon::checkpoint {
namespace {

// A regular file's bytes; none if it is empty or cannot be mapped.
class Mapping {
 public:
  explicit Mapping(const std::filesystem::path& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat info {};
    if (fd >= 0 && ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0) {
      void* data = ::mmap(nullptr, static_cast<size_t>(info.st_size), PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
      if (data != MAP_FAILED) bytes_ = {static_cast<const char*>(data), static_cast<size_t>(info.st_size)};
    }
    if (fd >= 0) ::close(fd);
  }
  Mapping(const Mapping&) = delete;
  ~Mapping() {
    if (!bytes_.empty()) ::munmap(const_cast<char*>(bytes_.data()), bytes_.size());
  }
  std::string_view bytes() const { return bytes_; }

 private:
  std::string_view bytes_;
};

nlohmann::json digest(std::string_view bytes) { return {{"bytes", bytes.size()}, {"xxh3", content_hash(bytes)}}; }

}  // namespace

nlohmann::json file_digest(const std::filesystem::path& path) {
  const Mapping mapping(path);
  return mapping.bytes().empty() ? digest(read_file(path, ErrorKind::weights)) : digest(mapping.bytes());
}

}  // namespace antiphon::checkpoint
