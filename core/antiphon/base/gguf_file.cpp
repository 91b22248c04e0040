#include <antiphon/base/gguf.h>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

namespace antiphon {
namespace {

struct MappedBytes {
  std::shared_ptr<const void> owner;
  std::string_view bytes;
};

MappedBytes map_file(const std::filesystem::path& path, ErrorKind kind) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  const auto refuse = [&](int code) {
    fail(kind, fmt::format("cannot open {}: {}", path.string(), std::strerror(code)),
         "check the path and who may read it");
  };
  if (fd < 0) refuse(errno);
  struct stat info {};
  const bool regular = ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  const auto size = static_cast<size_t>(info.st_size);
  void* data = regular && size > 0 ? ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0) : nullptr;
  const int code = data == MAP_FAILED ? errno : EINVAL;
  ::close(fd);
  if (!regular || data == MAP_FAILED) refuse(code);
  return {{data,
           [size](const void* mapped) {
             if (mapped) ::munmap(const_cast<void*>(mapped), size);
           }},
          {static_cast<const char*>(data), data ? size : 0}};
}

}  // namespace

GgufFile::GgufFile(const std::filesystem::path& path, ErrorKind kind) : path_(path) {
  const auto mapped = map_file(path, kind);
  mapping_ = mapped.owner;
  content_ = std::make_shared<const GgufContent>(parse_gguf(mapped.bytes, path.string(), kind));
}

}  // namespace antiphon
