#if ANTIPHON_FFMPEG
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/media/audio/resampler.h>
#include <antiphon/media/container.h>
#include <antiphon/media/decode.h>
#include <antiphon/media/image/pixels.h>
#include <antiphon/media/image/resize.h>
#include <antiphon/media/video/display_matrix.h>
#include <antiphon/media/video/video_converter.h>
#include <antiphon/media/video/video_plan.h>

namespace antiphon::media {
namespace {

void check(const VideoOptions& options, const MediaLimits& limits) {
  if ((options.frames > 0) + (options.frames_per_second > 0) + (options.choose != nullptr) != 1)
    fail(ErrorKind::config, "frames of a video: give either a number of frames or frames_per_second, above 0");
  if (options.frames > limits.frames)
    fail(ErrorKind::config,
         fmt::format("{} frames of a video; at most {} are possible", options.frames, limits.frames));
}

double seconds(int64_t stamp, const AVStream& stream) { return static_cast<double>(stamp) * av_q2d(stream.time_base); }

// Frames a second: as the file says if its frames' own times agree, since these may be rounded.
double rate_of(const AVStream& stream, const VideoPlan& plan) {
  const double own = plan.duration() > 0 ? static_cast<double>(plan.frames()) / plan.duration() : 0;
  const double said = stream.avg_frame_rate.den > 0 ? av_q2d(stream.avg_frame_rate) : 0;
  if (std::abs(said - own) <= 0.01 * own) return said;
  return own > 0 ? own : 24;  // of one frame without a duration
}

int orientation_of(const AVStream& stream) {
  size_t size = 0;
  const uint8_t* data = av_stream_get_side_data(&stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
  std::array<int32_t, 9> matrix;
  if (!data || size < sizeof matrix) return 1;
  std::memcpy(matrix.data(), data, sizeof matrix);
  return orientation_of_matrix(matrix);
}

// First pass: when every frame of the video is shown, from its packets alone, and all of the audio.
class Survey {
 public:
  Survey(Container& container, const VideoOptions& options, const MediaLimits& limits, const Deadline& deadline)
      : video_(container.best(AVMEDIA_TYPE_VIDEO)),
        sound_(options.sample_rate > 0 ? container.best(AVMEDIA_TYPE_AUDIO) : nullptr) {
    if (!video_ || (video_->disposition & AV_DISPOSITION_ATTACHED_PIC))
      fail(ErrorKind::data, "the file holds no video");
    container.select(video_, sound_);
    if (sound_) {
      resampler_.emplace(options.sample_rate, limits, options.channel);
      resampler_->end_after(container.sound_length(*sound_));
      decoder_.emplace(*sound_->codecpar, sound_->time_base, "sound", limits, deadline);
    }
    const Packet packet = make_packet();
    while (container.read(*packet))
      if (packet->stream_index == video_->index)
        add_picture(*packet);
      else if (sound_ && packet->stream_index == sound_->index)
        add_sound(packet.get());
    if (sound_) add_sound(nullptr);
  }

  // Whether every packet itself says when its frame is shown.
  bool timed() const { return timed_; }

  VideoPlan plan() {
    if (std::ranges::none_of(packets_, &VideoPacket::shown)) fail(ErrorKind::data, "the video holds no frame");
    return VideoPlan(std::move(packets_));
  }

  // The audio from `start` on, with silence before it if it begins later; nothing if there is none.
  std::optional<Audio> audio(double start, int64_t sample_rate) {
    if (!sound_) return std::nullopt;
    Audio audio{sample_rate, resampler_->finish()};
    const auto late =
        static_cast<int64_t>(std::llround((sound_start_.value_or(start) - start) * static_cast<double>(sample_rate)));
    constexpr int64_t most_seconds = 600;
    if (std::abs(late) > most_seconds * sample_rate)
      fail(ErrorKind::data, "the video's sound and pictures are far apart in time");
    if (late >= 0)
      audio.samples.insert(audio.samples.begin(), static_cast<size_t>(late), 0.0F);
    else
      audio.samples.erase(audio.samples.begin(),
                          audio.samples.begin() + std::min(-late, static_cast<int64_t>(audio.samples.size())));
    if (audio.samples.empty()) fail(ErrorKind::data, "the video's sound is empty or damaged");
    return audio;
  }

 private:
  void add_picture(const AVPacket& packet) {
    int64_t stamp = packet.pts != AV_NOPTS_VALUE ? packet.pts : packet.dts;
    if (stamp == AV_NOPTS_VALUE)
      stamp = packets_.empty() ? 0 : packets_.back().stamp + std::max<int64_t>(packet.duration, 1);
    // A GIF frame modifies the one before it, although each is marked as a key frame.
    const bool key =
        (packet.flags & AV_PKT_FLAG_KEY) != 0 && (packets_.empty() || video_->codecpar->codec_id != AV_CODEC_ID_GIF);
    timed_ &= packet.pts != AV_NOPTS_VALUE;
    const bool shown = (packet.flags & AV_PKT_FLAG_DISCARD) == 0;
    packets_.push_back({stamp, seconds(stamp, *video_), seconds(packet.duration, *video_), key, shown});
  }

  void add_sound(const AVPacket* packet) {
    decoder_->decode(packet, [&](const AVFrame& frame) {
      if (!sound_start_ && frame.best_effort_timestamp != AV_NOPTS_VALUE)
        sound_start_ = seconds(frame.best_effort_timestamp, *sound_);
      resampler_->add(frame);
    });
  }

  const AVStream *video_, *sound_;
  std::optional<Resampler> resampler_;
  std::optional<Decoder> decoder_;
  std::optional<double> sound_start_;
  std::vector<VideoPacket> packets_;
  bool timed_ = true;
};

// Second pass: decodes what the plan says and keeps the wanted frames.
class Picker {
 public:
  // `wanted`: packets, in the order of time.
  Picker(Container& container, const VideoPlan& plan, std::vector<size_t> wanted, const VideoOptions& options,
         const MediaLimits& limits, const Deadline& deadline)
      : container_(container),
        stream_(*container.best(AVMEDIA_TYPE_VIDEO)),
        plan_(plan),
        options_(options),
        limits_(limits),
        decoder_(*stream_.codecpar, stream_.time_base, "picture", limits, deadline, threads_.count()),
        orientation_(orientation_of(stream_)),
        wanted_(std::move(wanted)),
        last_(make_frame()) {
    needed_ = plan.needed(wanted_);
    container.select(&stream_, nullptr);
  }

  // `timed`: Survey::timed().
  std::vector<VideoFrame> run(bool timed) {
    const Packet packet = make_packet();
    const bool skips = timed && container_.stores_times() && stream_.codecpar->codec_id == AV_CODEC_ID_H264;
    std::vector<bool> shown(needed_.size());
    for (const size_t wanted : wanted_) shown[wanted] = true;
    for (size_t index = 0; index < needed_.size() && container_.read(*packet);) {
      if (packet->stream_index != stream_.index) continue;
      if (skips) skip_unless(shown[index]);
      if (needed_[index]) decoder_.decode(packet.get(), [&](AVFrame& frame) { see(frame); });
      if (needed_[index] && (index + 1 == needed_.size() || !needed_[index + 1])) close_stretch(index);
      ++index;
    }
    if (frames_.size() < wanted_.size()) close_stretch(needed_.size() - 1);
    if (frames_.size() < wanted_.size())
      fail(ErrorKind::data, "the video is damaged: none of its frames could be decoded");
    return std::move(frames_);
  }

 private:
  // Not best_effort_timestamp: it gives up the frames' own times if those after a seek come out of order.
  static int64_t stamp_of(const AVFrame& frame) {
    return frame.pts != AV_NOPTS_VALUE ? frame.pts : frame.best_effort_timestamp;
  }

  // Frames come in the order of their times: for times before this one, the previous frame is shown. Only frames that
  // depend on ones from before a seek may come late and broken; they are never wanted.
  void see(AVFrame& frame) {
    const int64_t stamp = stamp_of(frame);
    if (stamp == AV_NOPTS_VALUE || (has_last_ && stamp < stamp_of(*last_))) return;
    while (has_last_ && due() && plan_[wanted_[frames_.size()]].stamp < stamp) keep_last();
    av_frame_unref(last_.get());
    if (av_frame_ref(last_.get(), &frame) < 0) allocated(nullptr);
    has_last_ = true;
    converted_ = false;
  }

  // Everything up to packet `index` has been sent: drains the frames of this stretch, so that the next may begin.
  void close_stretch(size_t index) {
    decoder_.decode(nullptr, [&](AVFrame& frame) { see(frame); });
    while (has_last_ && due() && wanted_[frames_.size()] <= index) keep_last();
    decoder_.restart();
  }

  // Frames that no other frame depends on are decoded only if they are wanted.
  void skip_unless(bool wanted) { decoder_.context().skip_frame = wanted ? AVDISCARD_DEFAULT : AVDISCARD_NONREF; }

  bool due() const { return frames_.size() < wanted_.size(); }

  void keep_last() {
    if (!converted_) image_ = picture();
    converted_ = true;
    bytes_ += image_.rgb.size();
    if (bytes_ > limits_.video_bytes)
      fail(ErrorKind::data,
           fmt::format("the frames of the video would take more than the {} bytes that are accepted",
                       limits_.video_bytes),
           "ask for fewer frames, or make the video smaller");
    frames_.push_back({seconds(stamp_of(*last_), stream_) - plan_.start(), image_});
  }

  Image picture() {
    const bool resizes = options_.size.height > 0 && options_.size.width > 0;
    if (resizes && orientation_ == 1 && options_.filter != Filter::nearest)
      return convert_.resized(*last_, options_.size, options_.filter);
    Image whole = oriented(convert_(*last_), orientation_);
    return resizes ? resize(whole, options_.size, options_.filter) : whole;
  }

  Container& container_;
  const AVStream& stream_;
  const VideoPlan& plan_;
  const VideoOptions& options_;
  const MediaLimits& limits_;
  ThreadShare threads_;
  Decoder decoder_;
  VideoConverter convert_;
  int orientation_;
  std::vector<size_t> wanted_;  // packets, in the order of time
  std::vector<bool> needed_;    // by packet
  Frame last_;
  Image image_;
  bool has_last_ = false, converted_ = false;
  uint64_t bytes_ = 0;
  std::vector<VideoFrame> frames_;
};

// What `choose` says of this video, as packets; its size becomes that of the options.
std::vector<size_t> chosen(const AVStream& stream, const VideoPlan& plan, VideoOptions& options,
                           const MediaLimits& limits) {
  VideoShape shape{static_cast<int64_t>(plan.frames()), rate_of(stream, plan), stream.codecpar->height,
                   stream.codecpar->width};
  check_picture_size(shape.width, shape.height, limits);
  if (orientation_of(stream) > 4) std::swap(shape.height, shape.width);
  const auto choice = options.choose(shape);
  if (static_cast<int64_t>(choice.numbers.size()) > limits.frames)
    fail(ErrorKind::data,
         fmt::format("{} frames; at most {} of a video are accepted", choice.numbers.size(), limits.frames),
         "take fewer a second");
  options.size = {choice.height, choice.width}, options.filter = filter_from_number(choice.resample);
  for (const auto number : choice.numbers)
    if (number < 0 || number >= shape.frames)
      fail(ErrorKind::plugin, fmt::format("frame {} of a video of {} was asked for", number, shape.frames),
           "run `antiphon conformance` on the encoder's plugin");
  std::vector<size_t> packets;
  for (const auto number : choice.numbers) packets.push_back(plan.frame(static_cast<size_t>(number)));
  return packets;
}

std::vector<double> times_of(const VideoOptions& options, double duration, const MediaLimits& limits) {
  std::vector<double> times;
  if (options.frames > 0) {
    for (int64_t i = 1; i <= options.frames; ++i)
      times.push_back(duration * static_cast<double>(i) / static_cast<double>(options.frames + 1));
    return times;
  }
  const double count = std::ceil(duration * options.frames_per_second - 1e-9);
  if (count > static_cast<double>(limits.frames))
    fail(ErrorKind::data,
         fmt::format("{} frames at {} a second; at most {} of a video are accepted", count, options.frames_per_second,
                     limits.frames),
         "take fewer a second");
  for (int64_t i = 0; i < std::max<int64_t>(1, static_cast<int64_t>(count)); ++i)
    times.push_back(static_cast<double>(i) / options.frames_per_second);
  return times;
}

}  // namespace

Video decode_video(std::string_view bytes, const VideoOptions& given, const MediaLimits& limits) {
  auto options = given;
  check(options, limits);
  const Deadline deadline(limits);
  Container first(bytes, "", limits, deadline);
  Survey survey(first, options, limits, deadline);
  const VideoPlan plan = survey.plan();
  if (!(plan.duration() <= limits.video_seconds))
    fail(ErrorKind::data,
         fmt::format("the video lasts {:.1f} s; at most {} s are accepted", plan.duration(), limits.video_seconds),
         "cut it into pieces");
  Container second(bytes, "", limits, deadline);
  std::vector<size_t> wanted;
  if (options.choose)
    wanted = chosen(*first.best(AVMEDIA_TYPE_VIDEO), plan, options, limits);
  else
    for (const double time : times_of(options, plan.duration(), limits)) wanted.push_back(plan.packet_at(time));
  Picker picker(second, plan, std::move(wanted), options, limits, deadline);
  return {plan.duration(), picker.run(survey.timed()), survey.audio(plan.start(), options.sample_rate)};
}

}  // namespace antiphon::media
#endif
