// Preloaded into the program by tests/faults/on_oom_test.py: there is no memory for a tensor of more than
// FAULT_MOST_BYTES.
#include <dlfcn.h>

#include <cerrno>
#include <cstdlib>

extern "C" int posix_memalign(void** memory, size_t alignment, size_t size) noexcept {
  using Real = int(void**, size_t, size_t);
  static auto* real = reinterpret_cast<Real*>(dlsym(RTLD_NEXT, "posix_memalign"));
  static const char* most = std::getenv("FAULT_MOST_BYTES");
  static const size_t limit = most ? std::strtoull(most, nullptr, 10) : 0;
  return limit > 0 && size > limit ? ENOMEM : real(memory, alignment, size);
}
