#include <antiphon/train/event_file.h>

#include <fmt/format.h>
#include <unistd.h>

#include <antiphon/base/host_name.h>

#include <array>
#include <bit>
#include <chrono>
#include <cstring>

namespace antiphon::train {
namespace {

static_assert(std::endian::native == std::endian::little);

template <class T>
std::string raw(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

std::string varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  return out + static_cast<char>(value);
}

// Protobuf wire types: 0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes.
std::string field(int number, int wire_type, const std::string& payload) {
  return varint(static_cast<uint64_t>(number << 3 | wire_type)) + (wire_type == 2 ? varint(payload.size()) : "") +
         payload;
}

double wall_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string masked_crc(const std::string& bytes) {
  const uint32_t crc = crc32c(bytes);
  return raw(((crc >> 15) | (crc << 17)) + 0xa282ead8u);
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  static const auto table = [] {
    std::array<uint32_t, 256> t{};
    for (uint32_t i = 0; i < 256; ++i) {
      t[i] = i;
      for (int bit = 0; bit < 8; ++bit) t[i] = t[i] & 1 ? t[i] >> 1 ^ 0x82f63b78u : t[i] >> 1;
    }
    return t;
  }();
  uint32_t crc = ~0u;
  for (const char c : bytes) crc = table[(crc ^ static_cast<uint8_t>(c)) & 0xff] ^ crc >> 8;
  return ~crc;
}

EventFile::EventFile(const std::filesystem::path& folder) {
  const auto name =
      fmt::format("events.out.tfevents.{}.{}.{}", static_cast<long>(wall_time()), host_name(), ::getpid());
  file_ = std::fopen((folder / name).c_str(), "ab");
  record(field(1, 1, raw(wall_time())) + field(3, 2, "brain.Event:2"));
}

EventFile::~EventFile() {
  if (file_) std::fclose(file_);
}

void EventFile::scalars(int64_t step, const std::map<std::string, double>& values) {
  std::string summary;
  for (const auto& [tag, value] : values)
    summary += field(1, 2, field(1, 2, tag) + field(2, 5, raw(static_cast<float>(value))));
  record(field(1, 1, raw(wall_time())) + field(2, 0, varint(static_cast<uint64_t>(step))) + field(5, 2, summary));
}

void EventFile::record(const std::string& event) {
  if (!file_) return;
  const auto length = raw(static_cast<uint64_t>(event.size()));
  const auto frame = length + masked_crc(length) + event + masked_crc(event);
  std::fwrite(frame.data(), 1, frame.size(), file_);
  std::fflush(file_);
}

}  // namespace antiphon::train
