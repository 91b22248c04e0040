#include <antiphon/data/augment/changes.h>
#include <antiphon/media/audio/speed.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>

namespace antiphon::data {
namespace {

// A filter of second order with Q = sqrt(1/2): a = 1, -2cos w, ... (Bristow-Johnson, Audio EQ Cookbook).
void pass_band(std::vector<float>& samples, int64_t sample_rate, double hertz, bool above) {
  const double w = 2 * std::numbers::pi * hertz / static_cast<double>(sample_rate), cosine = std::cos(w);
  const double alpha = std::sin(w) / std::numbers::sqrt2, a0 = 1 + alpha;
  const double b0 = (above ? 1 + cosine : 1 - cosine) / 2 / a0, b1 = above ? -2 * b0 : 2 * b0;
  const double a1 = -2 * cosine / a0, a2 = (1 - alpha) / a0;
  double x1 = 0, x2 = 0, y1 = 0, y2 = 0;
  for (float& sample : samples) {
    const auto x = static_cast<double>(sample);
    const double y = b0 * (x + x2) + b1 * x1 - a1 * y1 - a2 * y2;
    x2 = x1, x1 = x, y2 = y1, y1 = y;
    sample = static_cast<float>(y);
  }
}

int width_of(int magnitude) { return std::bit_width(static_cast<unsigned>(magnitude)); }

// Steps of 2 to 256 of 14 bits, each twice as wide as the one below; what is kept is the middle of one.
int mu_law(int sample) {
  constexpr int kBias = 33, kMost = 8191;
  const int magnitude = std::min(kMost, std::abs(sample >> 2) + kBias);
  const int shift = width_of(magnitude) - 5;
  const int kept = ((magnitude >> shift) << shift) + (1 << (shift - 1)) - kBias;
  return 4 * (sample < 0 ? -kept : kept);
}

// The same of 13 bits, the first two segments alike.
int a_law(int sample) {
  const int value = sample >> 3, magnitude = value < 0 ? -value - 1 : value;
  const int shift = std::max(1, width_of(magnitude) - 5);
  const int kept = ((magnitude >> shift) << shift) + (1 << (shift - 1));
  return 8 * (sample < 0 ? -kept : kept);
}

}  // namespace

float through_g711(float sample, const std::string& law) {
  constexpr float kFull = 32768;
  const auto whole = static_cast<int>(std::clamp(std::nearbyint(sample * kFull), -kFull, kFull - 1));
  return static_cast<float>(law == "mu" ? mu_law(whole) : a_law(whole)) / kFull;
}

void telephone(Audio& audio, const std::string& law, const media::MediaLimits& limits) {
  constexpr int64_t kRate = 8000;
  constexpr float kLoudest = 0.8F;
  float loudest = 0;
  for (const float x : audio.samples) loudest = std::max(loudest, std::abs(x));
  const float factor = loudest > kLoudest ? kLoudest / loudest : 1;
  for (float& x : audio.samples) x *= factor;
  auto line = media::resample(audio, kRate, limits);
  pass_band(line.samples, kRate, 3400, false);
  pass_band(line.samples, kRate, 300, true);
  for (float& x : line.samples) x = through_g711(x, law);
  line = media::resample(line, audio.sample_rate, limits);
  line.samples.resize(audio.samples.size(), 0.0F);
  audio.samples = std::move(line.samples);
}

}  // namespace antiphon::data
