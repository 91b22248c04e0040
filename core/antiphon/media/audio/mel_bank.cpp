#include <antiphon/media/audio/mel_bank.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/media/audio/log_mel.h>

namespace antiphon::media {
namespace {

const double kLogStep = std::log(6.4) / 27.0;  // Slaney: linear to 1 kHz (mel 15), from there 27 mels per factor of 6.4

double mel_to_hertz(double mel) { return mel < 15.0 ? mel * 200.0 / 3.0 : 1000.0 * std::exp(kLogStep * (mel - 15.0)); }
double hertz_to_mel(double hertz) {
  return hertz < 1000.0 ? hertz * 3.0 / 200.0 : 15.0 + std::log(hertz / 1000.0) / kLogStep;
}

at::Tensor make_filters(int64_t mels, int64_t bins) {
  constexpr double nyquist = kLogMelSampleRate / 2.0;
  std::vector<double> edges;
  for (int64_t i = 0; i < mels + 2; ++i)
    edges.push_back(mel_to_hertz(hertz_to_mel(nyquist) * static_cast<double>(i) / static_cast<double>(mels + 1)));
  at::Tensor filters = at::empty({mels, bins}, at::kFloat);
  auto* out = filters.data_ptr<float>();
  for (int64_t mel = 0; mel < mels; ++mel) {
    const double low = edges[mel], middle = edges[mel + 1], high = edges[mel + 2];
    for (int64_t bin = 0; bin < bins; ++bin) {
      const double hertz = nyquist * static_cast<double>(bin) / static_cast<double>(bins - 1);
      const double height = std::min((hertz - low) / (middle - low), (high - hertz) / (high - middle));
      *out++ = static_cast<float>(std::max(0.0, height) * 2.0 / (high - low));
    }
  }
  return filters;
}

}  // namespace

MelBank::MelBank(int64_t mels, int64_t bins) : filters_(make_filters(mels, bins)) {
  const auto* weight = filters_.const_data_ptr<float>();
  for (int64_t mel = 0; mel < mels; ++mel, weight += bins) {
    const float* first = std::find_if(weight, weight + bins, [](float w) { return w > 0; });
    const float* end = std::find(first, weight + bins, 0.0F);
    bins_.push_back({first, first - weight, end - first});
  }
}

// Leaked: threads may still use it while the program ends.
const MelBank& MelBank::of(int64_t mels, int64_t bins) {
  if (mels < 1 || mels > bins) fail(ErrorKind::config, fmt::format("{} mel bands; 1 to {} are possible", mels, bins));
  static auto* mutex = new std::mutex;
  static auto* banks = new std::map<std::pair<int64_t, int64_t>, MelBank>;
  const std::lock_guard lock(*mutex);
  return banks->try_emplace({mels, bins}, mels, bins).first->second;
}

void MelBank::power(const float* spectra, int64_t frames, float* out, int64_t row) const {
  std::vector<float> power(static_cast<size_t>(filters_.size(1) * kLanes));
  for (int64_t frame = 0; frame < frames; frame += kLanes) {
    const int64_t lanes = std::min(kLanes, frames - frame);
    bin_power(spectra + frame * filters_.size(1) * 2, lanes, power.data());
    for (size_t mel = 0; mel < bins_.size(); ++mel)
      std::copy_n(band(bins_[mel], power.data()).data(), lanes, out + static_cast<int64_t>(mel) * row + frame);
  }
}

// Power of the frames side by side, [bins, kLanes]: a band is then a sum of whole vectors.
void MelBank::bin_power(const float* spectra, int64_t lanes, float* __restrict power) const {
  const int64_t bins = filters_.size(1);
  for (int64_t lane = 0; lane < lanes; ++lane, spectra += bins * 2)
    for (int64_t bin = 0; bin < bins; ++bin)
      power[bin * kLanes + lane] = spectra[2 * bin] * spectra[2 * bin] + spectra[2 * bin + 1] * spectra[2 * bin + 1];
}

std::array<float, MelBank::kLanes> MelBank::band(const Bins& bins, const float* power) {
  std::array<float, kLanes> sum{};
  power += bins.first * kLanes;
  for (int64_t bin = 0; bin < bins.count; ++bin, power += kLanes)
    for (size_t lane = 0; lane < kLanes; ++lane) sum[lane] += bins.weights[bin] * power[lane];
  return sum;
}

}  // namespace antiphon::media
