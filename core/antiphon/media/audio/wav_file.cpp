#include <antiphon/media/audio/wav_file.h>

#include <algorithm>
#include <cmath>

namespace antiphon::media {
namespace {

void append(std::string& out, uint32_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xFF);
}

}  // namespace

std::string wav_file(const Audio& audio) {
  const auto rate = static_cast<uint32_t>(audio.sample_rate), bytes = static_cast<uint32_t>(2 * audio.samples.size());
  std::string out = "RIFF";
  append(out, 36 + bytes, 4);
  out += "WAVEfmt ";
  append(out, 16, 4), append(out, 1, 2), append(out, 1, 2);  // size of the block, PCM, mono
  append(out, rate, 4), append(out, 2 * rate, 4), append(out, 2, 2), append(out, 16, 2);
  out += "data";
  append(out, bytes, 4);
  for (const float sample : audio.samples)
    append(out, static_cast<uint32_t>(std::lround(std::clamp(sample, -1.0F, 1.0F) * 32767)), 2);
  return out;
}

}  // namespace antiphon::media
