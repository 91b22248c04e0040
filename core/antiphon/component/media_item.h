// Decoded media, as an encoder's processor receives it.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace antiphon {

// What a sample may hold. Encoders take images and audio, and some of the former videos (video_rule.h); for others a
// video is split into both before it reaches them.
enum class Modality { image, audio, video };
std::string_view to_string(Modality modality);

// 8-bit RGB, row by row, `rgb.size() == height * width * 3`.
struct Image {
  int64_t height = 0, width = 0;
  std::vector<uint8_t> rgb;
};

// Mono samples in [-1, 1].
struct Audio {
  int64_t sample_rate = 0;
  std::vector<float> samples;
  double seconds() const {
    return sample_rate ? static_cast<double>(samples.size()) / static_cast<double>(sample_rate) : 0.0;
  }
};

// Some frames of a video, in their order.
struct Frames {
  std::vector<Image> images;     // of one size
  std::vector<int64_t> numbers;  // which of the video's frames they are, from 0 on
  int64_t total = 0;             // frames of the video
  double per_second = 0;         // of the video
};

// One decoded item; exactly the member that `modality` names is set.
struct MediaItem {
  Modality modality = Modality::image;
  Image image;
  Audio audio;
  Frames video = {};
};

}  // namespace antiphon
