#include <antiphon/base/files.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <variant>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <fmt/format.h>

#include <antiphon/base/paths.h>
#include <antiphon/base/shown.h>

namespace antiphon {
namespace {

[[noreturn]] void fail_io(ErrorKind kind, std::string_view action, const std::filesystem::path& path) {
  fail_path(kind, action, path, errno);
}

// Errors of a disk, a network share or an overloaded machine, as opposed to those of the file itself.
bool is_trouble(int code) {
  constexpr std::array codes{EIO,      ESTALE,      ETIMEDOUT, EREMOTEIO,    ENOTCONN, ECONNRESET, ECONNABORTED,
                             ENETDOWN, ENETUNREACH, EHOSTDOWN, EHOSTUNREACH, EMFILE,   ENFILE,     ENOMEM};
  return std::ranges::find(codes, code) != codes.end();
}

// Why a read failed for a reason that may pass; other failures throw. A file that stays shorter than its stated size is
// itself at fault: a run must not end because of it.
struct Trouble {
  std::string what;
  bool of_the_file = false;
};

// Closes on every way out.
struct Descriptor {
  int fd;
  explicit Descriptor(int value) : fd(value) {}
  Descriptor(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

void write_all(int fd, std::string_view bytes, ErrorKind kind, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_io(kind, "write", path);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

// Throws unless the error may pass.
Trouble trouble(ErrorKind kind, std::string_view action, const std::filesystem::path& path) {
  if (!is_trouble(errno)) fail_io(kind, action, path);
  return {fmt::format("cannot {} {}: {}", action, shown(path.string()), std::strerror(errno))};
}

using Attempt = std::variant<std::string, Trouble>;

int64_t changed_ns(const struct stat& info) {
  return int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
}

// `size` bytes from `offset` on; what lies before `offset` has been read.
Attempt read_bytes(int fd, const std::filesystem::path& path, ErrorKind kind, uint64_t offset, uint64_t size) {
  std::string bytes(size, '\0');
  for (size_t done = 0; done < size;) {
    const ssize_t n = ::pread(fd, bytes.data() + done, size - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return trouble(kind, "read", path);
    if (n == 0) return Trouble{fmt::format("{} ends after {} of {} bytes", path.string(), done, size), true};
    done += static_cast<size_t>(n);
  }
  return bytes;
}

int open_to_read(const std::filesystem::path& path) { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); }

Attempt read_once(const std::filesystem::path& path, ErrorKind kind, uint64_t max_bytes) {
  Descriptor file(open_to_read(path));
  if (file.fd < 0) return trouble(kind, "open", path);
  struct stat info {};
  if (::fstat(file.fd, &info) != 0) return trouble(kind, "look at", path);
  if (!S_ISREG(info.st_mode)) fail(kind, fmt::format("{} is not a regular file", shown(path.string())));
  const auto size = static_cast<uint64_t>(info.st_size);
  if (size > max_bytes)
    fail(kind, fmt::format("{} has {} bytes; at most {} are allowed", shown(path.string()), size, max_bytes));
  return read_bytes(file.fd, path, kind, 0, size);
}

// What an attempt gives, after as many attempts as it takes.
template <class Once>
std::string patiently(ErrorKind kind, Once&& once) {
  constexpr std::array pauses{100, 500, 2000};  // milliseconds
  for (size_t attempt = 0;; ++attempt) {
    auto content = once();
    if (auto* bytes = std::get_if<std::string>(&content)) return std::move(*bytes);
    const auto& trouble = std::get<Trouble>(content);
    if (attempt == pauses.size())
      fail(kind == ErrorKind::data && !trouble.of_the_file ? ErrorKind::preempted : kind,
           fmt::format("I/O error: {}; {} attempts failed", trouble.what, attempt + 1),
           "look after that disk or network share; a run goes on with --resume");
    std::this_thread::sleep_for(std::chrono::milliseconds(pauses[attempt]));
  }
}

}  // namespace

std::string read_file(const std::filesystem::path& path, ErrorKind kind, uint64_t max_bytes) {
  return patiently(kind, [&] { return read_once(path, kind, max_bytes); });
}

OpenFile::OpenFile(std::filesystem::path path, ErrorKind kind) : path_(std::move(path)), kind_(kind) {
  patiently(kind, [&]() -> Attempt {
    fd_ = open_to_read(path_);
    return fd_ < 0 ? Attempt(trouble(kind_, "open", path_)) : Attempt();
  });
  struct stat info {};
  const bool known = ::fstat(fd_, &info) == 0, regular = known && S_ISREG(info.st_mode);
  size_ = static_cast<uint64_t>(info.st_size), changed_ns_ = changed_ns(info);
  if (regular) return;
  ::close(fd_);
  if (!known) fail_io(kind, "look at", path_);
  fail(kind, fmt::format("{} is not a regular file", shown(path_.string())));
}

OpenFile::~OpenFile() { ::close(fd_); }

// A file that is replaced by another one is not seen by what was opened, and does no harm.
void OpenFile::check_unchanged() const {
  struct stat info {};
  if (::fstat(fd_, &info) != 0) return;
  if (static_cast<uint64_t>(info.st_size) == size_ && changed_ns(info) == changed_ns_) return;
  fail(ErrorKind::preempted,
       fmt::format("{} was changed while it was read: it had {} bytes and has {}", shown(path_.string()), size_,
                   info.st_size),
       "write data sets under another name and rename them, or start again when the file is complete");
}

std::string OpenFile::read(uint64_t offset, uint64_t size) const {
  check_unchanged();
  const auto count = offset >= size_ ? 0 : std::min(size, size_ - offset);
  return patiently(kind_, [&] { return read_bytes(fd_, path_, kind_, offset, count); });
}

void write_file_atomic(const std::filesystem::path& path, std::string_view bytes, ErrorKind kind) {
  static std::atomic<unsigned> counter{0};
  check_replaceable(path, kind);
  auto temporary = path;
  temporary += fmt::format(".tmp-{}-{}", ::getpid(), counter++);
  try {
    Descriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (file.fd < 0) fail_io(kind, "create", temporary);
    write_all(file.fd, bytes, kind, temporary);
    if (::fsync(file.fd) != 0) fail_io(kind, "flush", temporary);
    if (::rename(temporary.c_str(), path.c_str()) != 0) fail_io(kind, "rename", temporary);
  } catch (const Error&) {
    ::unlink(temporary.c_str());
    throw;
  }
  sync_folder_of(path, kind);
}

void sync_path(const std::filesystem::path& path, ErrorKind kind) {
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.fd < 0) fail_io(kind, "open", path);
  if (::fsync(file.fd) != 0) fail_io(kind, "flush", path);
}

namespace {

std::string digits_of(const XXH128_hash_t& hash) { return fmt::format("{:016x}{:016x}", hash.high64, hash.low64); }

}  // namespace

std::string content_hash(std::string_view bytes) { return digits_of(XXH3_128bits(bytes.data(), bytes.size())); }

struct ContentHash::State {
  XXH3_state_t xxh3;
};

ContentHash::ContentHash() : state_(std::make_unique<State>()) { XXH3_128bits_reset(&state_->xxh3); }
ContentHash::~ContentHash() = default;
void ContentHash::add(std::string_view bytes) { XXH3_128bits_update(&state_->xxh3, bytes.data(), bytes.size()); }
std::string ContentHash::digits() const { return digits_of(XXH3_128bits_digest(&state_->xxh3)); }

}  // namespace antiphon
