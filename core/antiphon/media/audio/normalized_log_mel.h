// The log-mel spectrogram of NeMo's speech encoders: AudioToMelSpectrogramPreprocessor with per-feature normalisation
// (ParakeetFeatureExtractor of transformers: models/parakeet/feature_extraction_parakeet.py).
#pragma once
#include <span>

#include <ATen/core/Tensor.h>

namespace antiphon::media {

// Mono samples at 16 kHz -> float32 [samples / 160, mels] on the CPU: pre-emphasis 0.97, windows of 400 samples
// (symmetric Hann) around multiples of 160, 512-point power spectrum, mel bands, natural logarithm, each band with mean
// 0 and deviation 1 over the clip. Error(data) if there are fewer than two frames.
at::Tensor normalized_log_mel(std::span<const float> samples, int64_t mels);

}  // namespace antiphon::media
