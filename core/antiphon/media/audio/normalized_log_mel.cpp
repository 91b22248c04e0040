#include <antiphon/media/audio/normalized_log_mel.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/media/audio/log_mel.h>
#include <antiphon/media/audio/mel_bank.h>

namespace antiphon::media {
namespace {

constexpr int64_t kFrame = 400, kTransform = 512;
constexpr float kPreemphasis = 0.97F;
constexpr double kGuard = 1.0 / (1 << 24), kEpsilon = 1e-5;

// The clip after pre-emphasis, with half a window of silence at both ends.
at::Tensor emphasised(std::span<const float> samples) {
  constexpr int64_t edge = kFrame / 2;
  const auto n = static_cast<int64_t>(samples.size());
  const at::Tensor out = at::zeros({n + 2 * edge}, at::kFloat);
  auto* to = out.data_ptr<float>() + edge;
  to[0] = samples[0];
  for (int64_t i = 1; i < n; ++i)
    to[i] = samples[static_cast<size_t>(i)] - kPreemphasis * samples[static_cast<size_t>(i - 1)];
  return out;
}

}  // namespace

at::Tensor normalized_log_mel(std::span<const float> samples, int64_t mels) {
  const int64_t frames = static_cast<int64_t>(samples.size()) / kLogMelHop;
  if (frames < 2)
    fail(ErrorKind::data, fmt::format("a clip of {} samples is too short for a spectrogram; it takes {}",
                                      samples.size(), 2 * kLogMelHop));
  const at::NoGradGuard no_grad;
  const auto windows = emphasised(samples).unfold(0, kFrame, kLogMelHop).narrow(0, 0, frames) *
                       at::hann_window(kFrame, /*periodic=*/false, at::kFloat);
  const auto spectra = at::view_as_real(at::fft_rfft(windows, kTransform)).contiguous();
  const auto power = at::empty({mels, frames}, at::kFloat);
  MelBank::of(mels, kTransform / 2 + 1).power(spectra.const_data_ptr<float>(), frames, power.data_ptr<float>(), frames);
  const auto bands = power.t().contiguous().add_(kGuard).log_();
  return (bands - bands.mean(0)) / (bands.std(0, /*unbiased=*/true) + kEpsilon);
}

}  // namespace antiphon::media
