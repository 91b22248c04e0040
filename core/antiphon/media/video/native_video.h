// How image encoders take videos of any size at about their own (Qwen2-VL and its successors), read from
// video_preprocessor_config.json: the same frames and sizes as transformers' video processors choose
// (models/qwen2_vl/video_processing_qwen2_vl.py, models/qwen3_vl/video_processing_qwen3_vl.py).
#pragma once
#include <antiphon/component/video_rule.h>
#include <antiphon/media/image/native_image.h>

namespace antiphon::media {

struct NativeVideo {
  double video_fps = 2;
  int64_t video_frames = 0, video_min_frames = 4, video_max_frames = 768;
  int64_t video_min_pixels = 128 * 28 * 28, video_max_pixels = 768 * 28 * 28;
  bool video_cap = false;
  int64_t video_max_tokens = 128000;
};

// What the encoder has that choices depend on; frames and pixels.
struct VideoUse {
  int64_t patch_frames = 2, multiple = 28, resample = 3;
  double positions_per_second = 0;  // 0: parts are one position apart
  double seconds_per_chunk = 0;     // of a video with its sound among its embeddings; 0: it does not stand there
};

// Qwen2-VL and Qwen2.5-VL (Wang et al. 2024, Bai et al. 2025): frames at equal steps from the first on, as many as
// `video_fps` says and a multiple of those of a patch; `video_max_pixels` bounds a frame, and so do, with `video_cap`,
// `video_max_tokens` in all. One medium, whose parts are as far apart as they are in time.
class SteppedVideo : public VideoRule {
 public:
  SteppedVideo(const NativeVideo& options, const VideoUse& use) : options_(options), use_(use) {}
  FrameChoice choose(const VideoShape& video, const VideoWish& wish) const override;
  std::vector<VideoPiece> pieces(Frames frames) const override;
  PartStep part_step(const Frames& frames) const override;
  int64_t sound_chunk() const override {
    return static_cast<int64_t>(use_.positions_per_second * use_.seconds_per_chunk);
  }

 private:
  NativeVideo options_;
  VideoUse use_;
};

// Qwen3-VL: frames spread from the first to the last; `video_max_pixels` bounds all frames together, and `video_cap` a
// frame by `video_max_tokens`. Each patch of frames is a medium of its own, after the text "<1.5 seconds>", the mean of
// when its first and last are shown.
class TimedVideo : public VideoRule {
 public:
  TimedVideo(const NativeVideo& options, const VideoUse& use) : options_(options), use_(use) {}
  FrameChoice choose(const VideoShape& video, const VideoWish& wish) const override;
  std::vector<VideoPiece> pieces(Frames frames) const override;
  PartStep part_step(const Frames&) const override { return 1; }

 private:
  NativeVideo options_;
  VideoUse use_;
};

// [patch_frames, 3, height, width] float32 on the CPU for each patch of frames; the last frame stands for those that
// are missing. Error(data) if the frames are not of one size of whole multiples.
std::vector<at::Tensor> native_video_parts(const Frames& frames, const NativeImage& options, const VideoUse& use,
                                           const std::string& plugin);

// The options of the directory's video preprocessor, or without one the pixels of that of pictures. `type`: its class;
// `image`: what pictures get, which must be the same. `options` is the object that `table` describes. Error(weights).
void read_native_video(const PretrainedConfig& pretrained, const PatchSizes& sizes, const std::string& type,
                       const NativeImage& image, const config::Schema& table, void* options);
// Error(config) if the options contradict each other.
void check_native_video(const NativeVideo& options, int64_t multiple, const std::string& plugin);

// Adds the keys of NativeVideo to the table of an options struct that derives from it.
template <class Options>
config::Table<Options>& add_native_video_fields(config::Table<Options>& table) {
  using V = NativeVideo;
  auto of = []<class M>(M V::*member) -> M Options::* { return member; };
  return table
      .field("video_fps", of(&V::video_fps), "frames of a video, a second", {.min = 0, .max = 240, .above_min = true})
      .field("video_frames", of(&V::video_frames), "so many frames in place of those; 0: by time",
             {.min = 0, .max = 768})
      .field("video_min_frames", of(&V::video_min_frames), "at least, if the video has them", {.min = 1, .max = 768})
      .field("video_max_frames", of(&V::video_max_frames), "at most", {.min = 1, .max = 768})
      .field("video_min_pixels", of(&V::video_min_pixels), "smaller frames (or videos) are enlarged to so many pixels",
             {.min = 1, .max = 1LL << 36})
      .field("video_max_pixels", of(&V::video_max_pixels), "larger ones are shrunk to so many",
             {.min = 1, .max = 1LL << 36})
      .field("video_cap", of(&V::video_cap), "video_max_tokens bounds the frames as well")
      .field("video_max_tokens", of(&V::video_max_tokens), "see video_cap", {.min = 1, .max = 1 << 24});
}

}  // namespace antiphon::media
