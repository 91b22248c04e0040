// How SmolVLM2 takes videos (transformers: models/smolvlm/video_processing_smolvlm.py, processing_smolvlm.py): frames
// spread over it, each a picture that is not cut, after the time at which it is shown.
#pragma once
#include <antiphon/component/video_rule.h>

#include "split_image.h"

namespace antiphon::idefics3_vision {

struct VideoOptions {
  int64_t video_frames = 64, video_longest_edge = 4 * 364, video_resample = 1;
  double video_fps = 1;
};

class TimedFrames : public VideoRule {
 public:
  explicit TimedFrames(const VideoOptions& options) : options_(options) {}
  // `video_fps` a second and at most `video_frames`, or what is asked for instead; of a video whose seconds, but for
  // two, are more than both multiplied neither the first second nor the last. Error(data) for one without frames or
  // without a rate.
  FrameChoice choose(const VideoShape& video, const VideoWish& wish) const override;
  // One for each frame, and the text after the last.
  std::vector<VideoPiece> pieces(Frames frames) const override;
  PartStep part_step(const Frames&) const override { return 1; }

 private:
  VideoOptions options_;
};

// The options of the directory's video preprocessor, or without one what that of pictures says of videos. `image`: what
// pictures get, which must be the same. Error(weights).
void read_video(const PretrainedConfig& pretrained, const SplitImage& image, const config::Schema& table,
                VideoOptions& o, void* options);

}  // namespace antiphon::idefics3_vision
