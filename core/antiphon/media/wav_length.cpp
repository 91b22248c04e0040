#include <antiphon/media/wav_length.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>

#include <cstdint>

namespace antiphon::media {
namespace {

uint32_t little_endian(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 4; i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
  return value;
}

constexpr uint32_t kUnknownFrom = 0x7ffff000;

}  // namespace

void check_wav_length(std::string_view bytes) {
  if (bytes.size() < 12 || !bytes.starts_with("RIFF") || bytes.substr(8, 4) != "WAVE") return;
  for (size_t at = 12; at + 8 <= bytes.size();) {
    const uint32_t declared = little_endian(bytes, at + 4);
    const size_t left = bytes.size() - at - 8;
    if (bytes.substr(at, 4) == "data") {
      if (declared > left && declared < kUnknownFrom)
        fail(ErrorKind::data, fmt::format("the WAV is cut short: {} of {} bytes of sound are there", left, declared));
      return;
    }
    if (declared > left) return;
    at += 8 + declared + (declared & 1);
  }
}

}  // namespace antiphon::media
