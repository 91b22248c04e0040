#include "frames.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>

#include <algorithm>

namespace antiphon::internvit {
namespace {

int64_t count_of(const VideoShape& video, const VideoWish& wish, int64_t usual) {
  if (wish.frames > 0) return std::min(wish.frames, video.frames);
  if (wish.per_second <= 0) return std::min(usual, video.frames);
  const double count = static_cast<double>(video.frames) / video.per_second * wish.per_second;
  return std::clamp<int64_t>(static_cast<int64_t>(std::min(count, 1e9)), 1, video.frames);
}

}  // namespace

// In float32 on the way, as torch.arange has it.
FrameChoice SpreadFrames::choose(const VideoShape& video, const VideoWish& wish) const {
  if (video.frames < 1 || !(video.per_second > 0))
    fail(ErrorKind::data,
         fmt::format("a video of {} frames, {} a second: both must be positive", video.frames, video.per_second));
  const double step = static_cast<double>(video.frames) / static_cast<double>(count_of(video, wish, frames_));
  const auto places = at::arange(step / 2, video.frames, step, at::TensorOptions(at::kFloat)).to(at::kLong);
  FrameChoice choice{{}, edge_, edge_, resample_};
  for (int64_t i = 0; i < places.numel(); ++i)
    choice.numbers.push_back(std::min(places.const_data_ptr<int64_t>()[i], video.frames - 1));
  return choice;
}

std::vector<VideoPiece> SpreadFrames::pieces(Frames frames) const {
  std::vector<VideoPiece> all;
  for (size_t i = 0; i < frames.images.size(); ++i) {
    VideoPiece piece{fmt::format("Frame{}: ", i + 1), {{}, {frames.numbers.at(i)}, frames.total, frames.per_second}};
    piece.frames.images.push_back(std::move(frames.images[i]));
    all.push_back(std::move(piece));
  }
  return all;
}

}  // namespace antiphon::internvit
