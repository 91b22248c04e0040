#include <antiphon/base/page_out.h>

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

namespace antiphon {

void page_out(const void* data, size_t bytes) {
#ifdef MADV_PAGEOUT
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE)), begin = reinterpret_cast<uintptr_t>(data),
             first = (begin + page - 1) / page * page, end = (begin + bytes) / page * page;
  if (first < end) madvise(reinterpret_cast<void*>(first), end - first, MADV_PAGEOUT);
#endif
}

}  // namespace antiphon
