#include <antiphon/media/log_mel.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <mutex>
#include <numeric>
#include <vector>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>

namespace antiphon::media {
namespace {

constexpr int64_t kWindow = 400, kBins = kWindow / 2 + 1;
const double kLogStep = std::log(6.4) / 27.0;  // Slaney: linear to 1 kHz (mel 15), from there 27 mels a factor of 6.4

double mel_to_hertz(double mel) { return mel < 15.0 ? mel * 200.0 / 3.0 : 1000.0 * std::exp(kLogStep * (mel - 15.0)); }
double hertz_to_mel(double hertz) {
  return hertz < 1000.0 ? hertz * 3.0 / 200.0 : 15.0 + std::log(hertz / 1000.0) / kLogStep;
}

at::Tensor make_filters(int64_t mels) {
  constexpr double nyquist = kLogMelSampleRate / 2.0;
  std::vector<double> edges;
  for (int64_t i = 0; i < mels + 2; ++i)
    edges.push_back(mel_to_hertz(hertz_to_mel(nyquist) * static_cast<double>(i) / static_cast<double>(mels + 1)));
  at::Tensor filters = at::empty({mels, kBins}, at::kFloat);
  auto* out = filters.data_ptr<float>();
  for (int64_t mel = 0; mel < mels; ++mel) {
    const double low = edges[mel], middle = edges[mel + 1], high = edges[mel + 2];
    for (int64_t bin = 0; bin < kBins; ++bin) {
      const double hertz = nyquist * static_cast<double>(bin) / static_cast<double>(kBins - 1);
      const double height = std::min((hertz - low) / (middle - low), (high - hertz) / (high - middle));
      *out++ = static_cast<float>(std::max(0.0, height) * 2.0 / (high - low));
    }
  }
  return filters;
}

// Leaked: threads may still use it while the program ends.
const at::Tensor& window() {
  static const auto* hann = new at::Tensor(at::hann_window(kWindow, at::kFloat));
  return *hann;
}

// The bands of one count, and the bins where each is not zero: all but one in fifty are.
struct Bank {
  explicit Bank(int64_t mels) : filters(make_filters(mels)) {
    const auto* weight = filters.const_data_ptr<float>();
    for (int64_t mel = 0; mel < mels; ++mel, weight += kBins) {
      const float* first = std::find_if(weight, weight + kBins, [](float w) { return w > 0; });
      const float* end = std::find(first, weight + kBins, 0.0F);
      bins.push_back({first, first - weight, end - first});
    }
  }
  struct Bins {
    const float* weights;
    int64_t first, count;
  };
  at::Tensor filters;
  std::vector<Bins> bins;
};

// Leaked like the window.
const Bank& bank_of(int64_t mels) {
  if (mels < 1 || mels > kBins) fail(ErrorKind::config, fmt::format("{} mel bands; 1 to {} are possible", mels, kBins));
  static auto* mutex = new std::mutex;
  static auto* banks = new std::map<int64_t, Bank>;
  const std::lock_guard lock(*mutex);
  return banks->try_emplace(mels, mels).first->second;
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

// Complex spectra [frames, 201, 2] -> the power in each band, [frames, mels].
at::Tensor band_power(const at::Tensor& spectra, const Bank& bank) {
  const int64_t frames = spectra.size(0);
  const at::Tensor out = at::empty({frames, static_cast<int64_t>(bank.bins.size())}, at::kFloat);
  const auto* in = spectra.const_data_ptr<float>();
  auto* to = out.data_ptr<float>();
  std::array<float, kBins> power;
  for (int64_t frame = 0; frame < frames; ++frame, in += kBins * 2) {
    for (int64_t bin = 0; bin < kBins; ++bin)
      power[bin] = in[2 * bin] * in[2 * bin] + in[2 * bin + 1] * in[2 * bin + 1];
    for (const auto& [weights, first, count] : bank.bins)
      *to++ = std::inner_product(weights, weights + count, power.data() + first, 0.0F);
  }
  return out;
}

}  // namespace

const at::Tensor& mel_filters(int64_t mels) { return bank_of(mels).filters; }

at::Tensor log_mel(std::span<const float> samples, const LogMelOptions& options) {
  const Bank& bank = bank_of(options.mels);
  const int64_t length = options.samples > 0 ? options.samples : static_cast<int64_t>(samples.size());
  if (length <= kWindow / 2)
    fail(ErrorKind::data,
         fmt::format("a clip of {} samples is too short for a spectrogram; it takes {}", length, kWindow / 2 + 1));
  const at::NoGradGuard no_grad;
  const at::Tensor spectra = at::view_as_real(at::fft_rfft(windowed(padded(samples, length), length / kLogMelHop)));
  const at::Tensor log_power = band_power(spectra.contiguous(), bank).t().contiguous().clamp_min_(1e-10).log10_();
  return log_power.clamp_min_(log_power.max().sub_(8.0)).add_(4.0).div_(4.0);
}

}  // namespace antiphon::media
