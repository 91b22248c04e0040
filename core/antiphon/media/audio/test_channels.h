// For tests: a sound with several channels as a file.
#pragma once
#include <antiphon/media/audio/wav_file.h>

#include <vector>

namespace antiphon::media::testing {

// As WAV; all of one rate and length.
inline std::string wav_of_channels(const std::vector<Audio>& channels) {
  Audio together{channels.front().sample_rate, {}};
  for (size_t i = 0; i < channels.front().samples.size(); ++i)
    for (const auto& one : channels) together.samples.push_back(one.samples[i]);
  auto bytes = wav_file(together);
  const auto put = [&](size_t at, uint64_t value, int count) {
    for (int i = 0; i < count; ++i) bytes[at + static_cast<size_t>(i)] = static_cast<char>(value >> (8 * i) & 0xFF);
  };
  const auto frame = 2 * channels.size();  // bytes of one sample of each
  put(22, channels.size(), 2), put(28, frame * static_cast<uint64_t>(together.sample_rate), 4), put(32, frame, 2);
  return bytes;
}

// So many samples of one value.
inline Audio level(int64_t sample_rate, size_t samples, float value) {
  return {sample_rate, std::vector<float>(samples, value)};
}

}  // namespace antiphon::media::testing
