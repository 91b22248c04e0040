// Mel bands over the bins of a Fourier transform of 16 kHz audio, with Slaney's scale and norm (librosa's default).
#pragma once
#include <ATen/core/Tensor.h>

#include <array>
#include <vector>

namespace antiphon::media {

class MelBank {
 public:
  // Computed once for each pair; safe for many threads. Error(config) if there are more bands than bins.
  static const MelBank& of(int64_t mels, int64_t bins);
  MelBank(int64_t mels, int64_t bins);
  const at::Tensor& filters() const { return filters_; }  // float32 [mels, bins]
  // Complex spectra [frames, bins, 2] -> the power in each band: of band m in frame f at out[m * row + f].
  void power(const float* spectra, int64_t frames, float* out, int64_t row) const;

 private:
  struct Bins {
    const float* weights;
    int64_t first, count;
  };
  static constexpr int64_t kLanes = 16;  // frames at a time
  void bin_power(const float* spectra, int64_t lanes, float* power) const;
  static std::array<float, kLanes> band(const Bins& bins, const float* power);
  at::Tensor filters_;
  std::vector<Bins> bins_;  // the nonzero part of each band: one value in fifty
};

}  // namespace antiphon::media
