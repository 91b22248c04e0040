// The log-mel spectrogram of Whisper (openai/whisper whisper/audio.py; WhisperFeatureExtractor of transformers).
#pragma once
#include <cstdint>
#include <span>

#include <ATen/core/Tensor.h>

namespace antiphon::media {

inline constexpr int64_t kLogMelSampleRate = 16000;
inline constexpr int64_t kLogMelHop = 160;  // samples per frame

struct LogMelOptions {
  int64_t mels = 80;  // 80, or 128 from large-v3 on
  // The clip is padded with silence, or cut, to this many samples (480000: Whisper's 30 s); 0: its own length.
  int64_t samples = 0;
};

// Mono samples at 16 kHz -> float32 [mels, samples / 160] on the CPU: windows of 400 samples around multiples of 160
// (mirrored at the ends, periodic Hann), power spectrum, mel bands of Slaney's scale and norm, log10 floored at 8 below
// the clip's maximum, (x + 4) / 4. Error(data) if fewer than 201 samples are left: mirroring needs them.
at::Tensor log_mel(std::span<const float> samples, const LogMelOptions& options = {});

}  // namespace antiphon::media
