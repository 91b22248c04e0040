// TensorBoard event files: TFRecord frames with masked CRC32C around hand-encoded Event messages
// (tensorflow/core/util/event.proto, tensorboard/compat/proto/summary.proto; scalars as simple_value).
#pragma once
#include <cstdio>
#include <filesystem>
#include <map>
#include <string>

namespace antiphon::train {

class EventFile {
 public:
  // Creates events.out.tfevents.<time>.<host>.<pid> in the folder. A failed write is not an error: curves are only a
  // help.
  explicit EventFile(const std::filesystem::path& folder);
  ~EventFile();
  EventFile(const EventFile&) = delete;
  void scalars(int64_t step, const std::map<std::string, double>& values);

 private:
  void record(const std::string& event);
  std::FILE* file_ = nullptr;
};

// CRC32C (Castagnoli) of the bytes.
uint32_t crc32c(std::string_view bytes);

}  // namespace antiphon::train
