#include <antiphon/media/audio/log_mel.h>

#include <algorithm>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/media/audio/mel_bank.h>

namespace antiphon::media {
namespace {

constexpr int64_t kWindow = 400, kEdge = kWindow / 2, kBins = kWindow / 2 + 1;

// Leaked: threads may still use it while the program ends.
const at::Tensor& window() {
  static const auto* hann = new at::Tensor(at::hann_window(kWindow, at::kFloat));
  return *hann;
}

// A clip, cut or followed by silence up to `length`, and mirrored by half a window at both ends.
struct Clip {
  std::span<const float> samples;
  int64_t length;

  int64_t end() const { return std::min(length, static_cast<int64_t>(samples.size())); }
  float at(int64_t i) const {
    i = i < 0 ? -i : i < length ? i : 2 * (length - 1) - i;
    return i < end() ? samples[static_cast<size_t>(i)] : 0.0F;
  }
  // Frames that begin before its audio ends; all that follow are silent.
  int64_t heard() const { return std::min(length / kLogMelHop, (end() + kEdge + kLogMelHop - 1) / kLogMelHop); }
};

// One frame under the window, [400].
void window_frame(const Clip& clip, int64_t frame, const float* weights, float* __restrict out) {
  const int64_t begin = frame * kLogMelHop - kEdge;
  if (begin < 0 || begin + kWindow > clip.end()) {
    for (int64_t i = 0; i < kWindow; ++i) out[i] = clip.at(begin + i) * weights[i];
  } else {
    const float* in = clip.samples.data() + begin;
    for (int64_t i = 0; i < kWindow; ++i) out[i] = in[i] * weights[i];
  }
}

// Power in each band, [mels, frames]. A block at a time, which stays in the cache until its bands are done.
at::Tensor band_power(const Clip& clip, const MelBank& bank) {
  constexpr int64_t kBlock = 64;
  const int64_t frames = clip.length / kLogMelHop, heard = clip.heard();
  const at::Tensor out = at::zeros({bank.filters().size(0), frames}, at::kFloat);
  const at::Tensor windows = at::empty({kBlock, kWindow}, at::kFloat);
  at::Tensor spectra = at::empty({kBlock, kBins}, at::kComplexFloat);
  for (int64_t first = 0; first < heard; first += kBlock) {
    const int64_t count = std::min(kBlock, heard - first);
    for (int64_t i = 0; i < count; ++i)
      window_frame(clip, first + i, window().const_data_ptr<float>(), windows.data_ptr<float>() + i * kWindow);
    at::Tensor used = spectra.narrow(0, 0, count);
    at::fft_rfft_out(used, windows.narrow(0, 0, count));
    bank.power(at::view_as_real(used).const_data_ptr<float>(), count, out.data_ptr<float>() + first, frames);
  }
  return out;
}

}  // namespace

at::Tensor log_mel(std::span<const float> samples, const LogMelOptions& options) {
  const auto& bank = MelBank::of(options.mels, kBins);
  const int64_t length = options.samples > 0 ? options.samples : static_cast<int64_t>(samples.size());
  if (length <= kEdge)
    fail(ErrorKind::data,
         fmt::format("a clip of {} samples is too short for a spectrogram; it takes {}", length, kEdge + 1));
  const at::NoGradGuard no_grad;
  const at::Tensor log_power = band_power({samples, length}, bank).clamp_min_(1e-10).log10_();
  return log_power.clamp_min_(log_power.max().sub_(8.0)).add_(4.0).div_(4.0);
}

}  // namespace antiphon::media
