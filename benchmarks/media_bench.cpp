// What loader threads do before anything is encoded.
#include <ATen/ATen.h>

#include <antiphon/media/audio/log_mel.h>
#include <antiphon/media/decode.h>
#include <antiphon/media/image/image_processor.h>

#include <atomic>
#include <thread>

#include "random_model.h"
#include "verbs.h"

namespace antiphon::bench {
namespace {

constexpr int64_t kEdge = 224;

media::ImageProcessing like_clip() {
  media::ImageProcessing processing;
  processing.mean = {0.48145466, 0.4578275, 0.40821073};
  processing.std = {0.26862954, 0.26130258, 0.27577711};
  return processing;
}

// All frames of a clip of 30 frames a second, each brought to the square that an encoder sees; how many.
int64_t small_frames(const std::string& path) {
  const auto video = media::load_video(path, {.frames_per_second = 30, .size = {kEdge, kEdge}});
  return static_cast<int64_t>(video.frames.size());
}

// A clip in each of `threads` loader threads; frames of all.
int64_t clips_at_once(const std::string& path, int threads) {
  std::atomic<int64_t> frames = 0;
  std::vector<std::thread> loaders;
  for (int i = 0; i < threads; ++i) loaders.emplace_back([&] { frames += small_frames(path); });
  for (auto& loader : loaders) loader.join();
  return frames;
}

std::vector<double> per_second(const std::vector<double>& walls, int64_t items) {
  std::vector<double> rates;
  for (const double wall : walls) rates.push_back(static_cast<double>(items) / wall);
  return rates;
}

}  // namespace

void mel(const Flags& flags) {
  const auto sound = random_sound(30);
  const media::LogMelOptions window{80, 30 * media::kLogMelSampleRate};
  int64_t outputs = 0;
  const auto walls = repeat(flags.repeats, [&] { outputs = media::log_mel(sound.samples, window).numel(); });
  emit("mel", {{"seconds", 30}, {"outputs", outputs}}, {{"wall_med_s", walls}});
}

void pictures(const Flags& flags) {
  std::vector<MediaItem> items;
  for (int64_t i = 0; i < flags.batch; ++i) items.push_back({Modality::image, random_picture(480, 640), {}});
  const auto processing = like_clip();
  int64_t outputs = 0;
  const auto walls = repeat(flags.repeats, [&] {
    outputs = 0;
    for (const auto& item : items) outputs += media::process_image(item, processing, "clip").front().numel();
  });
  emit("pictures", {{"batch", flags.batch}, {"outputs", outputs}},
       {{"wall_med_s", walls}, {"pictures_per_s", per_second(walls, flags.batch)}});
}

void video(const Flags& flags) {
  const int threads = std::max(flags.threads, 1);
  int64_t frames = 0;
  const auto alone = repeat(flags.repeats, [&] { frames = small_frames(flags.path); });
  const auto together = repeat(flags.repeats, [&] { clips_at_once(flags.path, threads); });
  emit("video", {{"outputs", frames}, {"clips", threads}},
       {{"one_clip_fps", per_second(alone, frames)}, {"clips_fps", per_second(together, frames * threads)}});
}

}  // namespace antiphon::bench
