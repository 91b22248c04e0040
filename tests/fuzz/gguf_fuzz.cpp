// Any bytes as a GGUF file are either rejected with antiphon::Error or give tensors that lie within them.
#include <cstdlib>

#include <antiphon/base/gguf.h>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    for (const auto& tensor : antiphon::parse_gguf(bytes, "x.gguf", antiphon::ErrorKind::weights).tensors)
      if (tensor.bytes.data() < bytes.data() || tensor.bytes.data() + tensor.bytes.size() > bytes.data() + bytes.size())
        std::abort();
  } catch (const antiphon::Error& error) {
    if (error.kind() != antiphon::ErrorKind::weights) std::abort();
  }
  return 0;
}
