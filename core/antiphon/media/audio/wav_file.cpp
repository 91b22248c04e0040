#include <antiphon/media/audio/wav_file.h>

#include <algorithm>
#include <bit>
#include <cmath>

namespace antiphon::media {
namespace {

void append(std::string& out, uint32_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xFF);
}

constexpr uint32_t kPcm = 1, kFloat = 3;

// All before the samples, each of `width` bytes.
std::string head(const Audio& audio, uint32_t format, uint32_t width) {
  const auto rate = static_cast<uint32_t>(audio.sample_rate);
  const auto bytes = static_cast<uint32_t>(width * audio.samples.size());
  std::string out = "RIFF";
  append(out, 36 + bytes, 4);
  out += "WAVEfmt ";
  append(out, 16, 4), append(out, format, 2), append(out, 1, 2);  // size of the block, format, mono
  append(out, rate, 4), append(out, width * rate, 4), append(out, width, 2), append(out, 8 * width, 2);
  out += "data";
  append(out, bytes, 4);
  return out;
}

}  // namespace

std::string wav_file(const Audio& audio) {
  auto out = head(audio, kPcm, 2);
  for (const float sample : audio.samples)
    append(out, static_cast<uint32_t>(std::lround(std::clamp(sample, -1.0F, 1.0F) * 32767)), 2);
  return out;
}

std::string float_wav_file(const Audio& audio) {
  auto out = head(audio, kFloat, 4);
  for (const float sample : audio.samples) append(out, std::bit_cast<uint32_t>(sample), 4);
  return out;
}

}  // namespace antiphon::media
