// Preloaded into the program by tests/faults: counts what it does to files below a folder, and at the k-th such call
// kills the process or lets the call fail.
//   FAULT_BELOW   the folder; nothing is counted without it
//   FAULT_CALL    counts only calls of this name; with posix_memalign, wherever the files are, tensors of a page
//                 or more that the first thread asks for, and each fails as if there were no memory
//   FAULT_AT      k, from 1 on
//   FAULT_MODE    kill, EIO, ENOSPC or EINTR, or flip: of a write, one bit is another; with a plus (ENOSPC+)
//                 every later call that could need space fails, too; or hang: only openings to read are counted, and
//                 the k-th never ends, as of a medium that does not answer
//   FAULT_RANK    of several processes the one to which all of this happens
//   FAULT_DELAY   milliseconds that it takes to open a file below the folder for reading: a slow disk
//   FAULT_UNREADABLE  the end of a path: such files, wherever they are, cannot be opened for reading
//   FAULT_SYNC    milliseconds that it takes to flush one of its files
//   FAULT_REPORT  file that takes how many calls there were
//   FAULT_LOG     file that takes what appears there and what is flushed, in order: "rename PATH", "mkdir PATH",
//                 "fsync PATH"
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

namespace {

struct Plan {
  const char* below = std::getenv("FAULT_BELOW");
  const char* mode = std::getenv("FAULT_MODE");
  const char* call = std::getenv("FAULT_CALL");
  const char* report = std::getenv("FAULT_REPORT");
  const char* delay = std::getenv("FAULT_DELAY");
  const char* sync = std::getenv("FAULT_SYNC");
  const char* rank = std::getenv("FAULT_RANK");
  const char* own_rank = std::getenv("RANK");
  long at = std::getenv("FAULT_AT") ? std::atol(std::getenv("FAULT_AT")) : 0;
};

const Plan& plan() {
  static const Plan* plan = new Plan;
  return *plan;
}

std::atomic<long> calls{0};

// After each call, since the program may end without running destructors.
void report_count(long count) {
  if (!plan().report) return;
  static const long fd = syscall(SYS_openat, AT_FDCWD, plan().report, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  char text[32];
  const int size = std::snprintf(text, sizeof text, "%12ld", count);
  if (syscall(SYS_pwrite64, fd, text, size, 0) != size) std::abort();
}

bool below(const char* path) {
  return plan().below && path && std::strncmp(path, plan().below, std::strlen(plan().below)) == 0;
}

const char* path_of(int fd, char (&path)[PATH_MAX]) {
  char link[64];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const auto size = readlink(link, path, sizeof path - 1);
  path[size > 0 ? size : 0] = 0;
  return path;
}

bool below(int fd) {
  char path[PATH_MAX];
  return below(path_of(fd, path));
}

void log(const char* call, const char* path) {
  static const char* file = std::getenv("FAULT_LOG");
  if (!file || !below(path)) return;
  static const long fd = syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  char line[PATH_MAX + 16];
  const int size = std::snprintf(line, sizeof line, "%s %s\n", call, path);
  if (syscall(SYS_write, fd, line, size) != size) std::abort();
}

bool concerns_this_process() {
  return !plan().rank || (plan().own_rank && std::strcmp(plan().rank, plan().own_rank) == 0);
}

bool hangs() { return plan().mode && std::strcmp(plan().mode, "hang") == 0; }

void hang_if_told(const char* path) {
  if (!hangs() || !below(path) || ++calls != plan().at) return;
  for (;;) pause();
}

// Whether the call is to fail, with errno set. `takes_space`: a full disk would refuse it.
bool fails(const char* call, bool takes_space) {
  if (hangs() || !concerns_this_process() || (plan().call && std::strcmp(plan().call, call) != 0)) return false;
  const long k = ++calls;
  report_count(k);
  const char* mode = plan().mode;
  if (!mode || plan().at == 0 || k < plan().at) return false;
  const bool later = std::strchr(mode, '+') && takes_space;
  if (k != plan().at && !later) return false;
  if (std::strcmp(mode, "kill") == 0) {
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
  }
  errno = std::strncmp(mode, "ENOSPC", 6) == 0 ? ENOSPC : std::strcmp(mode, "EINTR") == 0 ? EINTR : EIO;
  return true;
}

// With errno set.
bool unreadable(std::string_view path, bool writes) {
  static const char* ending = std::getenv("FAULT_UNREADABLE");
  if (writes || !ending || !path.ends_with(ending)) return false;
  errno = EACCES;
  return true;
}

template <class F>
F* next(const char* name) {
  return reinterpret_cast<F*>(dlsym(RTLD_NEXT, name));
}

// Where tensors are allocated; oneDNN, which allocates by itself, does not look whether it got something.
bool is_libtorch(const void* caller) {
  Dl_info info{};
  return dladdr(caller, &info) && std::strstr(info.dli_fname, "libc10.so");
}

template <class Open>
int opened(const char* name, const char* path, int flags, va_list more) {
  static Open* real = next<Open>(name);
  const int mode = flags & O_CREAT ? va_arg(more, int) : 0;
  const bool writes = (flags & O_CREAT) || (flags & O_ACCMODE) != O_RDONLY;
  if (!writes) hang_if_told(path);
  if (!writes && plan().delay && below(path)) usleep(static_cast<useconds_t>(1000 * std::atol(plan().delay)));
  return writes && below(path) && fails(name, true) ? -1 : real(path, flags, mode);
}

}  // namespace

extern "C" {

ssize_t write(int fd, const void* bytes, size_t count) {
  static auto* real = next<decltype(write)>("write");
  if (fd <= 2 || !below(fd) || !fails("write", true)) return real(fd, bytes, count);
  if (std::strcmp(plan().mode, "flip") != 0 || count == 0) return -1;
  std::string other(static_cast<const char*>(bytes), count);
  other.back() ^= 1;
  return real(fd, other.data(), count);
}
ssize_t writev(int fd, const iovec* parts, int count) {
  static auto* real = next<decltype(writev)>("writev");
  return fd > 2 && below(fd) && fails("writev", true) ? -1 : real(fd, parts, count);
}
int fsync(int fd) {
  static auto* real = next<decltype(fsync)>("fsync");
  char path[PATH_MAX];
  log("fsync", path_of(fd, path));
  if (plan().sync && below(fd)) usleep(static_cast<useconds_t>(1000 * std::atol(plan().sync)));
  return below(fd) && fails("fsync", false) ? -1 : real(fd);
}
int ftruncate(int fd, off_t size) noexcept {
  static auto* real = next<int(int, off_t)>("ftruncate");
  return below(fd) && fails("ftruncate", false) ? -1 : real(fd, size);
}
int rename(const char* from, const char* to) noexcept {
  static auto* real = next<int(const char*, const char*)>("rename");
  if (below(from) && fails("rename", false)) return -1;
  const int result = real(from, to);
  if (result == 0) log("rename", to);
  return result;
}
int unlink(const char* path) noexcept {
  static auto* real = next<int(const char*)>("unlink");
  return below(path) && fails("unlink", false) ? -1 : real(path);
}
int remove(const char* path) noexcept {
  static auto* real = next<int(const char*)>("remove");
  return below(path) && fails("remove", false) ? -1 : real(path);
}
int unlinkat(int folder, const char* path, int flags) noexcept {
  static auto* real = next<int(int, const char*, int)>("unlinkat");
  const bool counts = path[0] == '/' ? below(path) : below(folder);
  return counts && fails("unlinkat", false) ? -1 : real(folder, path, flags);
}
int mkdir(const char* path, mode_t mode) noexcept {
  static auto* real = next<int(const char*, mode_t)>("mkdir");
  if (below(path) && fails("mkdir", true)) return -1;
  const int result = real(path, mode);
  if (result == 0) log("mkdir", path);
  return result;
}
int open(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const int fd = opened<int(const char*, int, ...)>("open", path, flags, more);
  va_end(more);
  return fd;
}
int open64(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const int fd = opened<int(const char*, int, ...)>("open64", path, flags, more);
  va_end(more);
  return fd;
}
int posix_memalign(void** memory, size_t alignment, size_t size) noexcept {
  static auto* real = next<int(void**, size_t, size_t)>("posix_memalign");
  constexpr size_t kPage = 4096;
  const bool counts =
      plan().call && size >= kPage && syscall(SYS_gettid) == getpid() && is_libtorch(__builtin_return_address(0));
  return counts && fails("posix_memalign", true) ? ENOMEM : real(memory, alignment, size);
}
FILE* fopen(const char* path, const char* mode) {
  static auto* real = next<FILE*(const char*, const char*)>("fopen");
  const bool writes = std::strpbrk(mode, "wa+");
  return unreadable(path, writes) || (writes && below(path) && fails("fopen", true)) ? nullptr : real(path, mode);
}
FILE* fopen64(const char* path, const char* mode) {
  static auto* real = next<FILE*(const char*, const char*)>("fopen64");
  const bool writes = std::strpbrk(mode, "wa+");
  return unreadable(path, writes) || (writes && below(path) && fails("fopen64", true)) ? nullptr : real(path, mode);
}
}
