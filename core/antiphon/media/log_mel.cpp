#include <antiphon/media/log_mel.h>

#include <algorithm>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/media/mel_bank.h>

namespace antiphon::media {
namespace {

constexpr int64_t kWindow = 400, kBins = kWindow / 2 + 1;

// Leaked: threads may still use it while the program ends.
const at::Tensor& window() {
  static const auto* hann = new at::Tensor(at::hann_window(kWindow, at::kFloat));
  return *hann;
}

// The clip at the length asked for, mirrored by half a window at both ends.
at::Tensor padded(std::span<const float> samples, int64_t length) {
  constexpr int64_t edge = kWindow / 2;
  at::Tensor out = at::zeros({length + 2 * edge}, at::kFloat);
  auto* middle = out.data_ptr<float>() + edge;
  std::copy_n(samples.data(), std::min<int64_t>(length, static_cast<int64_t>(samples.size())), middle);
  for (int64_t i = 1; i <= edge; ++i) {
    middle[-i] = middle[i];
    middle[length - 1 + i] = middle[length - 1 - i];
  }
  return out;
}

// The frames of a padded clip under the window, [frames, 400].
at::Tensor windowed(const at::Tensor& clip, int64_t frames) {
  const at::Tensor out = at::empty({frames, kWindow}, at::kFloat);
  const auto *in = clip.const_data_ptr<float>(), *weights = window().const_data_ptr<float>();
  auto* to = out.data_ptr<float>();
  for (int64_t frame = 0; frame < frames; ++frame, in += kLogMelHop, to += kWindow)
    for (int64_t i = 0; i < kWindow; ++i) to[i] = in[i] * weights[i];
  return out;
}

}  // namespace

at::Tensor log_mel(std::span<const float> samples, const LogMelOptions& options) {
  const auto& bank = MelBank::of(options.mels, kBins);
  const int64_t length = options.samples > 0 ? options.samples : static_cast<int64_t>(samples.size());
  if (length <= kWindow / 2)
    fail(ErrorKind::data,
         fmt::format("a clip of {} samples is too short for a spectrogram; it takes {}", length, kWindow / 2 + 1));
  const at::NoGradGuard no_grad;
  const at::Tensor spectra = at::view_as_real(at::fft_rfft(windowed(padded(samples, length), length / kLogMelHop)));
  const at::Tensor log_power = bank.power(spectra.contiguous()).t().contiguous().clamp_min_(1e-10).log10_();
  return log_power.clamp_min_(log_power.max().sub_(8.0)).add_(4.0).div_(4.0);
}

}  // namespace antiphon::media
