#include <ATen/ATen.h>

#include <antiphon/data/augment/changes.h>
#include <antiphon/data/augment/samples.h>

#include <algorithm>

namespace antiphon::data {
namespace {

double largest(const at::Tensor& samples) { return samples.numel() == 0 ? 0 : samples.abs().max().item<double>(); }

}  // namespace

// By Fourier transforms of both, which are as long as all of what comes out, so that its end is not laid over its
// beginning; in float64, since the end of a response is far below its beginning.
bool put_into_room(Audio& audio, const Audio& impulse, const ImpulseOptions& options) {
  auto response = as_tensor(impulse);
  if (options.normalize_impulse && response.numel() > 0) response = response - response.mean();
  const auto sound = as_tensor(audio);
  const double loudest = largest(response);
  if (loudest == 0 || largest(sound) == 0) return false;
  if (options.normalize_impulse) response = response / loudest;
  const int64_t length = sound.size(0), all = length + response.size(0) - 1;
  auto y = at::fft_irfft(at::fft_rfft(sound, all) * at::fft_rfft(response, all), all);
  const int64_t begin = options.shift_impulse ? response.abs().argmax().item<int64_t>() : 0;
  y = y.narrow(0, begin, std::min(length, all - begin));
  const double after = largest(y);
  if (after > 0) y = y / after;
  audio.samples = as_samples(y);
  audio.samples.resize(static_cast<size_t>(length), 0.0F);
  return true;
}

}  // namespace antiphon::data
