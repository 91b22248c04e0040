// How InternVL takes videos (transformers: models/internvl/video_processing_internvl.py, processing_internvl.py):
// frames from the middles of equal pieces, each stretched to one square, a picture of its own after "Frame1: " and so
// on.
#pragma once
#include <antiphon/component/video_rule.h>

namespace antiphon::internvit {

class SpreadFrames : public VideoRule {
 public:
  // `frames`: how many, unless something else is asked for; `edge`: of the squares, pixels; `resample`: FrameChoice.
  SpreadFrames(int64_t frames, int64_t edge, int64_t resample) : frames_(frames), edge_(edge), resample_(resample) {}
  // A video that has fewer frames gives all. Error(data) for one without frames or without a rate.
  FrameChoice choose(const VideoShape& video, const VideoWish& wish) const override;
  // One for each frame. The line break between frames is the chat template's, or the stream's `end`.
  std::vector<VideoPiece> pieces(Frames frames) const override;
  PartStep part_step(const Frames&) const override { return 1; }

 private:
  int64_t frames_, edge_, resample_;
};

}  // namespace antiphon::internvit
