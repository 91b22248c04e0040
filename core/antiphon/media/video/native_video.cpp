#include <antiphon/media/video/native_video.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>

#include <algorithm>
#include <cmath>

namespace antiphon::media {
namespace {

// How many frames are asked for by number; 0: by time.
int64_t asked_frames(const NativeVideo& o, const VideoWish& wish) {
  return wish.frames > 0 ? wish.frames : wish.per_second > 0 ? 0 : o.video_frames;
}

double asked_rate(const NativeVideo& o, const VideoWish& wish) {
  return wish.per_second > 0 ? wish.per_second : o.video_fps;
}

void check_shape(const VideoShape& video) {
  if (video.frames < 1 || !(video.per_second > 0))
    fail(ErrorKind::data,
         fmt::format("a video of {} frames, {} a second: both must be positive", video.frames, video.per_second));
}

int64_t as_whole(double value) { return static_cast<int64_t>(value); }

// As Python computes it: the multiple of a patch that is not above, of a number that need not be whole. 0: the video is
// shorter than a patch.
int64_t frames_by_step(const VideoShape& video, const VideoWish& wish, const NativeVideo& o, int64_t patch) {
  const int64_t all = video.frames / patch * patch;
  if (const int64_t asked = asked_frames(o, wish); asked > 0) {
    const double patches = std::nearbyint(static_cast<double>(asked) / static_cast<double>(patch));
    return std::clamp<int64_t>(as_whole(patches) * patch, std::min(patch, all), all);
  }
  const int64_t most = std::min(o.video_max_frames, video.frames) / patch * patch;
  const double count = static_cast<double>(video.frames) / video.per_second * asked_rate(o, wish),
               bounded = std::min(std::max(count, static_cast<double>(o.video_min_frames)), static_cast<double>(most));
  return as_whole(std::floor(bounded / static_cast<double>(patch))) * patch;
}

int64_t frames_by_spread(const VideoShape& video, const VideoWish& wish, const NativeVideo& o) {
  if (const int64_t asked = asked_frames(o, wish); asked > 0) return std::min(asked, video.frames);
  const int64_t count = as_whole(static_cast<double>(video.frames) / video.per_second * asked_rate(o, wish));
  return std::min({std::max(count, o.video_min_frames), o.video_max_frames, video.frames});
}

// Rounded to float32 on the way, as torch.arange does.
std::vector<int64_t> step_numbers(int64_t frames, int64_t count) {
  const double step = static_cast<double>(frames) / static_cast<double>(count);
  const auto whole = at::arange(0, frames, step, at::TensorOptions(at::kFloat)).to(at::kLong);
  const auto* first = whole.const_data_ptr<int64_t>();
  std::vector<int64_t> numbers(first, first + whole.numel());
  std::erase_if(numbers,
                [&](int64_t number) { return number >= frames; });  // one too many, if the step is rounded down
  return numbers;
}

std::vector<int64_t> spread_numbers(int64_t frames, int64_t count) {
  const double step = count > 1 ? static_cast<double>(frames - 1) / static_cast<double>(count - 1) : 0;
  std::vector<int64_t> numbers;
  for (int64_t i = 0; i < count; ++i) numbers.push_back(as_whole(std::nearbyint(static_cast<double>(i) * step)));
  if (count > 1) numbers.back() = frames - 1;
  return numbers;
}

void fill_up(Frames& frames, int64_t patch) {
  while (!frames.images.empty() && std::ssize(frames.images) % patch != 0) {
    frames.images.push_back(frames.images.back());
    frames.numbers.push_back(frames.numbers.back());
  }
}

}  // namespace

FrameChoice SteppedVideo::choose(const VideoShape& video, const VideoWish& wish) const {
  check_shape(video);
  const auto& o = options_;
  const int64_t count = frames_by_step(video, wish, o, use_.patch_frames);
  FrameChoice choice{step_numbers(video.frames, count ? count : video.frames), 0, 0, use_.resample};
  auto most = o.video_max_pixels;
  if (o.video_cap) {
    const int64_t all = as_whole(static_cast<double>(o.video_max_tokens * use_.multiple * use_.multiple) * 0.9);
    most = std::max(std::min(most, all * use_.patch_frames / std::ssize(choice.numbers)),
                    as_whole(static_cast<double>(o.video_min_pixels) * 1.05));
  }
  const auto size = native_size({video.height, video.width}, use_.multiple, o.video_min_pixels, most);
  choice.height = size.height, choice.width = size.width;
  return choice;
}

std::vector<VideoPiece> SteppedVideo::pieces(Frames frames) const {
  std::vector<VideoPiece> one(1);
  one[0].frames = std::move(frames);
  return one;
}

// In float32 and in this order, as get_rope_index and the processor do: Qwen2.5-VL's multiplies by the rate first,
// Qwen2.5-Omni's, which alone has chunks, last.
PartStep SteppedVideo::part_step(const Frames& frames) const {
  if (use_.positions_per_second == 0) return 1;
  const double taken = static_cast<double>(frames.numbers.size()) / static_cast<double>(frames.total),
               seconds = static_cast<double>(use_.patch_frames) / (taken * frames.per_second);
  if (use_.seconds_per_chunk > 0) return {seconds, use_.positions_per_second};
  return static_cast<double>(static_cast<float>(use_.positions_per_second) * static_cast<float>(seconds));
}

FrameChoice TimedVideo::choose(const VideoShape& video, const VideoWish& wish) const {
  check_shape(video);
  const auto& o = options_;
  FrameChoice choice{spread_numbers(video.frames, frames_by_spread(video, wish, o)), 0, 0, use_.resample};
  const int64_t count = std::max<int64_t>(std::ssize(choice.numbers), use_.patch_frames);
  auto most = o.video_max_pixels;
  if (o.video_cap) {
    const int64_t cap = o.video_max_tokens * use_.multiple * use_.multiple;
    most = count * std::max(std::min(cap, most / count), as_whole(static_cast<double>(o.video_min_pixels) * 1.05));
  }
  auto height = static_cast<double>(video.height), width = static_cast<double>(video.width);
  const auto multiple = static_cast<double>(use_.multiple);
  if (height > 0 && width > 0 && std::min(height, width) < multiple) {
    const double scale = std::max(multiple / height, multiple / width);
    height = std::trunc(height * scale), width = std::trunc(width * scale);
  }
  const double patches = std::nearbyint(static_cast<double>(count) / static_cast<double>(use_.patch_frames));
  const auto size = native_size({as_whole(height), as_whole(width)}, use_.multiple, o.video_min_pixels, most,
                                {count, as_whole(patches) * use_.patch_frames});
  choice.height = size.height, choice.width = size.width;
  return choice;
}

std::vector<VideoPiece> TimedVideo::pieces(Frames frames) const {
  fill_up(frames, use_.patch_frames);
  const auto patch = static_cast<size_t>(use_.patch_frames);
  std::vector<VideoPiece> all;
  for (size_t i = 0; i < frames.images.size(); i += patch) {
    const auto at = [&](size_t j) { return static_cast<double>(frames.numbers[j]) / frames.per_second; };
    VideoPiece piece{fmt::format("<{:.1f} seconds>", (at(i) + at(i + patch - 1)) / 2),
                     {{}, {}, frames.total, frames.per_second}};
    for (size_t j = i; j < i + patch; ++j) {
      piece.frames.images.push_back(std::move(frames.images[j]));
      piece.frames.numbers.push_back(frames.numbers[j]);
    }
    all.push_back(std::move(piece));
  }
  return all;
}

std::vector<at::Tensor> native_video_parts(const Frames& given, const NativeImage& options, const VideoUse& use,
                                           const std::string& plugin) {
  const auto normalization = normalization_of(options);
  const auto& images = given.images;
  std::vector<at::Tensor> frames, parts;
  for (const auto& image : images) {
    if (image.height <= 0 || image.height % use.multiple != 0 || image.width <= 0 || image.width % use.multiple != 0 ||
        image.height != images.front().height || image.width != images.front().width)
      fail(ErrorKind::data, fmt::format("{}: expected frames of one size, of multiples of {} pixels, got {} x {}",
                                        plugin, use.multiple, image.width, image.height));
    frames.push_back(to_tensor(image, normalization));
  }
  if (frames.empty()) fail(ErrorKind::data, plugin + ": a video without frames");
  const auto patch = static_cast<size_t>(use.patch_frames);
  while (frames.size() % patch != 0) frames.push_back(frames.back());
  for (size_t i = 0; i < frames.size(); i += patch) parts.push_back(at::stack(at::TensorList(frames).slice(i, patch)));
  return parts;
}

void check_native_video(const NativeVideo& o, int64_t multiple, const std::string& plugin) {
  if (o.video_max_pixels < o.video_min_pixels || o.video_max_pixels < multiple * multiple)
    fail(ErrorKind::config,
         fmt::format("{}: video_max_pixels = {} is less than video_min_pixels = {}, or than the smallest frame of {} x "
                     "{}",
                     plugin, o.video_max_pixels, o.video_min_pixels, multiple, multiple));
  if (o.video_max_frames < o.video_min_frames)
    fail(ErrorKind::config, fmt::format("{}: video_max_frames = {} is less than video_min_frames = {}", plugin,
                                        o.video_max_frames, o.video_min_frames));
}

}  // namespace antiphon::media
