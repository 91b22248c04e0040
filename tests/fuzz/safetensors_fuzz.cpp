// Any bytes are either rejected with antiphon::Error or describe tensors that lie in the file and can be written again.
#include <antiphon/weights/safetensors_header.h>

#include <cstdlib>

#include <antiphon/base/error.h>

using namespace antiphon::weights;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void check(const SafetensorsHeader& header, size_t file_bytes) {
  uint64_t end = 0;
  for (const auto& info : header.tensors) {
    require(info.begin == end && info.end >= info.begin);
    end = info.end;
  }
  require(header.data_start + end == file_bytes);
  auto written = write_safetensors_header(header.tensors, header.metadata);
  require(written.size() % 8 == 0);
  if (written.size() - 8 > max_header_bytes || end > 1'000'000) return;
  const auto again = parse_safetensors(written.append(end, '\0'), "written");
  require(again.metadata == header.metadata && again.tensors.size() == header.tensors.size());
  for (size_t i = 0; i < again.tensors.size(); ++i) {
    require(again.tensors[i].name == header.tensors[i].name && again.tensors[i].shape == header.tensors[i].shape);
    require(again.tensors[i].dtype == header.tensors[i].dtype && again.tensors[i].end == header.tensors[i].end);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    check(parse_safetensors({reinterpret_cast<const char*>(data), size}, "fuzz"), size);
  } catch (const antiphon::Error& error) {
    require(error.kind() == antiphon::ErrorKind::weights);
  }
  return 0;
}
