#include <ATen/ATen.h>

#include <antiphon/data/augment/changes.h>
#include <antiphon/data/augment/samples.h>

#include <algorithm>
#include <cmath>

namespace antiphon::data {

// In float64: the phases are sums over all frames.
void stretch(Audio& audio, double rate) {
  if (audio.samples.empty() || rate == 1) return;
  const int64_t size = rate < 1 ? 1024 : 512, hop = size / 2;
  const auto window = at::hann_window(size, at::kDouble);
  const auto frames_ft = at::stft(as_tensor(audio), size, hop, size, window, /*center=*/true, "constant",
                                  /*normalized=*/false, /*onesided=*/true, /*return_complex=*/true);
  const auto places = at::arange(0, frames_ft.size(1), rate, at::kDouble);
  const auto first = places.floor(), share = places - first;
  const auto padded = at::constant_pad_nd(frames_ft, {0, 2});
  const auto one = padded.index_select(1, first.to(at::kLong)), other = padded.index_select(1, first.to(at::kLong) + 1);
  const auto magnitude = (1 - share) * one.abs() + share * other.abs();
  // librosa takes the advance that a bin's frequency makes one expect off, and adds it again: whole turns, no more.
  const auto ahead = other.angle() - one.angle();
  const auto phase = at::cat({frames_ft.narrow(1, 0, 1).angle(), ahead.narrow(1, 0, ahead.size(1) - 1)}, 1).cumsum(1);
  const auto length = std::max<int64_t>(1, std::llrint(static_cast<double>(audio.samples.size()) / rate));
  audio.samples = as_samples(at::istft(at::polar(magnitude, phase), size, hop, size, window, /*center=*/true,
                                       /*normalized=*/false, /*onesided=*/true, length));
}

}  // namespace antiphon::data
