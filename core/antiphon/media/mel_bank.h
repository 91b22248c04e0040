// Mel bands over the bins of a Fourier transform of 16 kHz sound, of Slaney's scale and norm (librosa's default).
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

namespace antiphon::media {

class MelBank {
 public:
  // Computed once for each pair; safe for many threads. Error(config) where there are more bands than bins.
  static const MelBank& of(int64_t mels, int64_t bins);
  MelBank(int64_t mels, int64_t bins);
  const at::Tensor& filters() const { return filters_; }  // float32 [mels, bins]
  // Complex spectra [frames, bins, 2] float32, contiguous -> the power in each band, [frames, mels].
  at::Tensor power(const at::Tensor& spectra) const;

 private:
  struct Bins {
    const float* weights;
    int64_t first, count;
  };
  at::Tensor filters_;
  std::vector<Bins> bins_;  // where each band is not zero: all but one in fifty are
};

}  // namespace antiphon::media
