#include <antiphon/comm/out_of_memory.h>

#include <c10/util/Exception.h>

#include <new>
#include <string_view>

namespace antiphon::comm {

// LibTorch's allocator of the CPU throws its general exception.
bool is_out_of_memory(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error) || dynamic_cast<const c10::OutOfMemoryError*>(&error)) return true;
  if (!dynamic_cast<const c10::Error*>(&error)) return false;
  const std::string_view text = error.what();
  return text.find("DefaultCPUAllocator: ") != std::string_view::npos && text.find("memory") != std::string_view::npos;
}

}  // namespace antiphon::comm
