// How an encoder takes videos: which frames it wants, of which size, and where they stand in the text.
#pragma once
#include <antiphon/component/media_item.h>
#include <antiphon/component/part_step.h>

#include <string>
#include <vector>

namespace antiphon {

// A video as its file has it; pixels.
struct VideoShape {
  int64_t frames = 0;
  double per_second = 0;
  int64_t height = 0, width = 0;
};

// What is asked for in place of the encoder's own choice: so many frames, or so many a second; 0: neither.
struct VideoWish {
  int64_t frames = 0;
  double per_second = 0;
};

struct FrameChoice {
  std::vector<int64_t> numbers;   // from 0 on, not falling
  int64_t height = 0, width = 0;  // that they are resized to
  int64_t resample = 3;           // by Pillow's filter of that number
};

// Frames that stand in the text as one medium, and what is written before them; without frames, text alone.
struct VideoPiece {
  std::string text;
  Frames frames;
};

class VideoRule {
 public:
  virtual ~VideoRule() = default;
  // Error(data) if the video cannot be taken.
  virtual FrameChoice choose(const VideoShape& video, const VideoWish& wish) const = 0;
  // The frames chosen, in one piece or several, each of which process() takes if it has frames.
  virtual std::vector<VideoPiece> pieces(Frames frames) const = 0;
  // How many positions lie between a part that process() makes of them and the next (SampleLayout).
  virtual PartStep part_step(const Frames& frames) const = 0;
  // How many positions a chunk of a video with its sound takes, if the sound may stand among the embeddings of the
  // frames, which are one piece then: chunk by chunk, first what is seen and then what is heard. 0: it may not.
  virtual int64_t sound_chunk() const { return 0; }
};

}  // namespace antiphon
