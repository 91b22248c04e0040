#include "media.h"

#include <cmath>

#include <fmt/format.h>

namespace antiphon::apps::conformance {
namespace {

// Numerical Recipes' linear congruence.
uint32_t next(uint32_t& state) { return state = state * 1664525u + 1013904223u; }

}  // namespace

MediaItem made_image(int64_t height, int64_t width, bool grey) {
  MediaItem item;
  item.modality = Modality::image;
  item.image.height = height, item.image.width = width;
  uint32_t state = 1;
  for (int64_t i = 0; i < height * width; ++i)
    for (int channel = 0; channel < 3; ++channel) {
      const bool repeat = grey && channel > 0;
      item.image.rgb.push_back(repeat ? item.image.rgb.back() : static_cast<uint8_t>(next(state) >> 24));
    }
  return item;
}

MediaItem made_sound(double seconds, int64_t sample_rate) {
  MediaItem item;
  item.modality = Modality::audio;
  item.audio.sample_rate = sample_rate;
  uint32_t state = 1;
  const auto count = static_cast<int64_t>(std::llround(seconds * static_cast<double>(sample_rate)));
  for (int64_t i = 0; i < count; ++i) {
    const double t = static_cast<double>(i) / static_cast<double>(sample_rate);
    const double noise = static_cast<double>(next(state)) / 4294967296.0 - 0.5;
    item.audio.samples.push_back(static_cast<float>(0.4 * std::sin(2 * M_PI * (200 + 50 * t) * t) + 0.1 * noise));
  }
  return item;
}

std::vector<NamedMedia> made_media(Modality modality, int64_t sample_rate) {
  std::vector<NamedMedia> all;
  if (modality == Modality::image) {
    for (const auto& [height, width] : {std::pair{1, 1}, {37, 200}, {200, 37}, {3, 400}})
      all.push_back({fmt::format("image {} x {}", height, width), made_image(height, width, false)});
    all.push_back({"grey image 64 x 48", made_image(64, 48, true)});
  } else {
    for (const double seconds : {0.01, 1.0, 35.0})
      all.push_back({fmt::format("sound of {} s", seconds), made_sound(seconds, sample_rate)});
  }
  return all;
}

}  // namespace antiphon::apps::conformance
