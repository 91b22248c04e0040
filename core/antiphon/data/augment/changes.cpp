#include <antiphon/data/augment/changes.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <span>

namespace antiphon::data {
namespace {

double mean_power(std::span<const float> samples) {
  double sum = 0;
  for (const float x : samples) sum += static_cast<double>(x) * static_cast<double>(x);
  return samples.empty() ? 0 : sum / static_cast<double>(samples.size());
}

// From 0 on if `most` is above `size`: NeMo would draw from nothing.
Mask mask_of(int64_t size, int64_t most, Chance& chance) {
  Mask mask;
  mask.begin = chance.whole(0, std::max<int64_t>(0, size - most));
  mask.width = std::min(chance.whole(0, most), size - mask.begin);
  return mask;
}

// The middle, as far as the ratio allows.
Crop middle(const ImageAugmentOptions& o, int64_t height, int64_t width) {
  const double ratio = static_cast<double>(width) / static_cast<double>(height);
  Crop crop{0, 0, height, width};
  if (ratio < o.min_ratio) crop.height = std::llrint(static_cast<double>(width) / o.min_ratio);
  if (ratio > o.max_ratio) crop.width = std::llrint(static_cast<double>(height) * o.max_ratio);
  crop.height = std::max<int64_t>(1, crop.height), crop.width = std::max<int64_t>(1, crop.width);
  crop.top = (height - crop.height) / 2, crop.left = (width - crop.width) / 2;
  return crop;
}

}  // namespace

void gain(Audio& audio, double db) {
  const auto factor = static_cast<float>(std::pow(10.0, db / 20));
  for (float& x : audio.samples) x *= factor;
}

bool lay_noise(Audio& audio, const Audio& noise, int64_t begin, double snr_db) {
  const bool longer = noise.samples.size() > audio.samples.size();
  const auto count = static_cast<int64_t>(std::min(noise.samples.size(), audio.samples.size()));
  const std::span<const float> piece(noise.samples.data() + (longer ? begin : 0), static_cast<size_t>(count));
  const double own = mean_power(audio.samples), its = mean_power(piece);
  if (own == 0 || its == 0) return false;
  const auto factor = static_cast<float>(std::sqrt(own / its) * std::pow(10.0, -snr_db / 20));
  float* to = audio.samples.data() + (longer ? 0 : begin);
  for (const float x : piece) *to++ += factor * x;
  return true;
}

// Two at a time (Box and Muller 1958).
void add_white_noise(Audio& audio, double db, Chance& chance) {
  const double level = std::pow(10.0, db / 20);
  auto& samples = audio.samples;
  for (size_t i = 0; i < samples.size(); i += 2) {
    const double radius = level * std::sqrt(-2 * std::log(1 - chance.between(0, 1)));
    const double angle = chance.between(0, 2 * std::numbers::pi);
    samples[i] += static_cast<float>(radius * std::cos(angle));
    if (i + 1 < samples.size()) samples[i + 1] += static_cast<float>(radius * std::sin(angle));
  }
}

bool shift(Audio& audio, double milliseconds) {
  auto& samples = audio.samples;
  const auto by = static_cast<int64_t>(std::floor(milliseconds * static_cast<double>(audio.sample_rate) / 1000));
  if (std::abs(by) > std::ssize(samples)) return false;
  if (by >= 0) {
    std::fill(std::shift_left(samples.begin(), samples.end(), by), samples.end(), 0.0F);
  } else {
    std::fill(samples.begin(), std::shift_right(samples.begin(), samples.end(), -by), 0.0F);
  }
  return true;
}

Masks masks_of(const SpecAugmentOptions& options, int64_t mels, int64_t frames, Chance& chance) {
  Masks masks;
  for (int64_t i = 0; i < options.freq_masks; ++i) masks.bands.push_back(mask_of(mels, options.freq_width, chance));
  const auto most = options.time_width < 1
                        ? std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(frames) * options.time_width))
                        : static_cast<int64_t>(options.time_width);
  for (int64_t i = 0; i < options.time_masks; ++i) masks.frames.push_back(mask_of(frames, most, chance));
  return masks;
}

Crop crop_of(const ImageAugmentOptions& o, int64_t height, int64_t width, Chance& chance) {
  constexpr int kTries = 10;
  const auto area = static_cast<double>(height * width);
  for (int i = 0; i < kTries; ++i) {
    const double target = area * chance.between(o.min_scale, o.max_scale);
    const double ratio = std::exp(chance.between(std::log(o.min_ratio), std::log(o.max_ratio)));
    const int64_t w = std::llrint(std::sqrt(target * ratio)), h = std::llrint(std::sqrt(target / ratio));
    if (w < 1 || h < 1 || w > width || h > height) continue;
    const int64_t top = chance.whole(0, height - h);
    return {top, chance.whole(0, width - w), h, w};
  }
  return middle(o, height, width);
}

}  // namespace antiphon::data
