#include "frames.h"

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/media/image/processor_keys.h>

#include <algorithm>
#include <cmath>

#include "video_text.h"

namespace antiphon::idefics3_vision {
namespace {

// The first and the last frame between which others are spread.
struct Range {
  int64_t first = 0, last = 0;
};

double seconds_of(const VideoShape& video) { return static_cast<double>(video.frames) / video.per_second; }

// Without the first second and the last.
Range range_of(const VideoShape& video, double most, double rate) {
  const Range all{0, video.frames - 1};
  if (seconds_of(video) - 2 <= most * rate) return all;
  const auto last = static_cast<int64_t>(static_cast<double>(video.frames) - video.per_second);
  const Range inner{static_cast<int64_t>(video.per_second), std::min(last, all.last)};
  return inner.first < inner.last ? inner : all;
}

// numpy.linspace, cut to whole numbers; each once.
std::vector<int64_t> spread(const Range& range, int64_t count) {
  const auto first = static_cast<double>(range.first);
  const double step = count > 1 ? static_cast<double>(range.last - range.first) / static_cast<double>(count - 1) : 0;
  std::vector<int64_t> numbers;
  for (int64_t i = 0; i < count; ++i) numbers.push_back(static_cast<int64_t>(static_cast<double>(i) * step + first));
  if (count > 1) numbers.back() = range.last;
  numbers.erase(std::ranges::unique(numbers).begin(), numbers.end());
  return numbers;
}

}  // namespace

// As Python computes it: halves are rounded to even.
FrameChoice TimedFrames::choose(const VideoShape& video, const VideoWish& wish) const {
  if (video.frames < 1 || !(video.per_second > 0))
    fail(ErrorKind::data,
         fmt::format("a video of {} frames, {} a second: both must be positive", video.frames, video.per_second));
  const auto& o = options_;
  const double rate = wish.per_second > 0 ? wish.per_second : o.video_fps;
  const int64_t most = wish.frames > 0 ? wish.frames : o.video_frames;
  const double by_time = std::nearbyint(std::min(rate * seconds_of(video), 1e9));
  const int64_t count = wish.frames > 0 ? std::min(most, video.frames)
                                        : std::max<int64_t>(1, std::min(static_cast<int64_t>(by_time), most));
  const auto size = scaled_size({video.height, video.width}, o.video_longest_edge);
  return {spread(range_of(video, static_cast<double>(most), rate), count), size.height, size.width, o.video_resample};
}

std::vector<VideoPiece> TimedFrames::pieces(Frames frames) const {
  std::vector<VideoPiece> all;
  for (size_t i = 0; i < frames.images.size(); ++i) {
    const double seconds = static_cast<double>(frames.numbers.at(i)) / frames.per_second;
    VideoPiece piece{frame_text(seconds), {{}, {frames.numbers[i]}, frames.total, frames.per_second}};
    if (i == 0)
      piece.text =
          video_begin(frames.images.size(), static_cast<double>(frames.total) / frames.per_second) + piece.text;
    piece.frames.images.push_back(std::move(frames.images[i]));
    all.push_back(std::move(piece));
  }
  all.push_back({video_end(), {}});
  return all;
}

// The rate and the number of frames stand in a table of their own; the size of pictures goes before that in it.
void read_video(const PretrainedConfig& pretrained, const SplitImage& image, const config::Schema& table,
                VideoOptions& o, void* options) {
  const bool own = pretrained.video_preprocessor.exists();
  const auto& json = own ? pretrained.video_preprocessor : pretrained.preprocessor;
  o.video_resample = image.resample, o.video_longest_edge = image.longest_edge;
  if (!json.exists()) return;
  if (own) {
    const std::string same = "pictures and videos go through one encoder: give both the same";
    const auto keys = shared_keys().with(
        {.options = {{"num_frames", "video_frames"}, {"fps", "video_fps"}, {"resample", "video_resample"}},
         .fixed = {{"image_mean", {image.mean}, same},
                   {"image_std", {image.std}, same},
                   {"video_processor_type", {"SmolVLMVideoProcessor"}}},
         .other = {"return_metadata", "image_processor_type", "video_metadata", "do_image_splitting"}});
    foreign::read_keys(json, keys, table, options);
    media::check_rescaled(json);
    if (longest_edge_of(json, "max_image_size", image.tile_size) != image.tile_size)
      json.refuse("max_image_size", fmt::format("a longest edge of {}, as that of pictures", image.tile_size), same);
  }
  const auto sampling = json.table("video_sampling");
  o.video_longest_edge = longest_edge_of(json.find("size") ? json : sampling, json.find("size") ? "size" : "video_size",
                                         o.video_longest_edge);
  static const std::vector<ForeignKeys::Option> taken{{"max_frames", "video_frames"}, {"fps", "video_fps"}};
  if (sampling.exists()) foreign::read_keys(sampling, {.options = taken, .other = {"video_size"}}, table, options);
}

}  // namespace antiphon::idefics3_vision
