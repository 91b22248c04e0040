// Preloaded into the program by tests/faults/allocation_test.py: from the first opening of a file below a folder on,
// the k-th `new` of the first thread finds no memory.
//   FAULT_BELOW    the folder
//   FAULT_AT       k, from 1 on; 0: none fails
//   FAULT_REPORT   file that takes how many there were
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

namespace {

bool armed = false;
long calls = 0, at = 0;

void look_at(const char* path) {
  static const char* below = std::getenv("FAULT_BELOW");
  if (armed || !below || !path || std::strncmp(path, below, std::strlen(below)) != 0) return;
  if (const char* k = std::getenv("FAULT_AT")) at = std::atol(k);
  armed = true;
}

template <class Open>
int opened(const char* name, const char* path, int flags, va_list more) {
  static auto* real = reinterpret_cast<Open*>(dlsym(RTLD_NEXT, name));
  const int mode = flags & O_CREAT ? va_arg(more, int) : 0;
  look_at(path);
  return real(path, flags, mode);
}

// After each call, since the program may end without running destructors.
void report() {
  static const char* file = std::getenv("FAULT_REPORT");
  if (!file) return;
  static const long fd = syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  char text[32];
  const int size = std::snprintf(text, sizeof text, "%12ld", calls);
  if (fd < 0 || syscall(SYS_pwrite64, fd, text, size, 0) != size) std::abort();
}

bool fails() {
  if (!armed || syscall(SYS_gettid) != getpid()) return false;
  ++calls;
  report();
  return calls == at;
}

}  // namespace

void* operator new(std::size_t size) {
  if (fails()) {
    if (const auto handler = std::get_new_handler()) handler();
    throw std::bad_alloc();
  }
  void* memory = std::malloc(size ? size : 1);
  if (!memory) throw std::bad_alloc();
  return memory;
}

extern "C" int open(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const int fd = opened<int(const char*, int, ...)>("open", path, flags, more);
  va_end(more);
  return fd;
}

extern "C" int open64(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const int fd = opened<int(const char*, int, ...)>("open64", path, flags, more);
  va_end(more);
  return fd;
}
