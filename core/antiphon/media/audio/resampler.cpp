#if ANTIPHON_FFMPEG
#include <antiphon/media/audio/resampler.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>

extern "C" {
#include <libavutil/opt.h>
#include <libswresample/swresample.h>
}

namespace antiphon::media {

Resampler::Resampler(int64_t sample_rate, const MediaLimits& limits, std::optional<int64_t> channel)
    : rate_(sample_rate), limits_(limits), channel_(channel) {
  if (sample_rate < 1000 || sample_rate > limits.sample_rate)
    fail(ErrorKind::config,
         fmt::format("cannot resample to {} Hz; 1000 to {} Hz are possible", sample_rate, limits.sample_rate));
}

Resampler::~Resampler() = default;

void Resampler::FreeResampler::operator()(SwrContext* context) const { swr_free(&context); }

// By what each channel is multiplied before they are added up.
std::vector<double> Resampler::weights(int channels) const {
  if (!channel_) return std::vector<double>(static_cast<size_t>(channels), 1.0 / channels);
  if (*channel_ < 0 || *channel_ >= channels)
    fail(ErrorKind::data,
         fmt::format("channel {} of the sound was asked for, counted from 0; it has {}", *channel_, channels),
         "name a channel that it has in data.audio.channel, or in its record, or leave that out for the mean of all");
  std::vector<double> weights(static_cast<size_t>(channels), 0.0);
  weights[static_cast<size_t>(*channel_)] = 1;
  return weights;
}

void Resampler::begin(const AVFrame& frame) {
  const int channels = frame.ch_layout.nb_channels;
  if (channels < 1 || channels > limits_.channels)
    fail(ErrorKind::data, fmt::format("the sound has {} channels; 1 to {} are accepted", channels, limits_.channels));
  if (frame.sample_rate < 1 || frame.sample_rate > limits_.sample_rate)
    fail(ErrorKind::data, fmt::format("the sound has {} samples a second; at most {} are accepted", frame.sample_rate,
                                      limits_.sample_rate));
  AVChannelLayout mono = AV_CHANNEL_LAYOUT_MONO;
  AVChannelLayout source{};  // which speaker a channel belongs to does not matter
  av_channel_layout_default(&source, channels);
  if (source.order == AV_CHANNEL_ORDER_UNSPEC) av_channel_layout_from_mask(&source, (uint64_t{1} << channels) - 1);
  SwrContext* context = nullptr;
  swr_alloc_set_opts2(&context, &mono, AV_SAMPLE_FMT_FLT, static_cast<int>(rate_), &source,
                      static_cast<AVSampleFormat>(frame.format), frame.sample_rate, 0, nullptr);
  context_.reset(static_cast<SwrContext*>(allocated(context)));
  av_opt_set_int(context, "filter_size", 64, 0);
  av_opt_set_sample_fmt(context, "internal_sample_fmt", AV_SAMPLE_FMT_FLTP, 0);
  const auto weights = this->weights(channels);
  if (swr_set_matrix(context, weights.data(), channels) < 0 || swr_init(context) < 0)
    fail(ErrorKind::data,
         fmt::format("sound of {} channels at {} Hz cannot be resampled", channels, frame.sample_rate));
  source_rate_ = frame.sample_rate, source_format_ = frame.format, source_channels_ = channels;
  taken_ = 0;
  begun_at_ = taken_away_ + static_cast<int64_t>(out_.size());
}

void Resampler::convert(const uint8_t** samples, int count, int64_t room) {
  const size_t before = out_.size();
  out_.resize(before + static_cast<size_t>(room));
  auto* to = reinterpret_cast<uint8_t*>(out_.data() + before);
  const int made = swr_convert(context_.get(), &to, static_cast<int>(room), samples, count);
  out_.resize(before + static_cast<size_t>(std::max(made, 0)));
  if (made < 0) fail(ErrorKind::data, "the sound cannot be resampled");
}

void Resampler::add(const AVFrame& frame) {
  const int64_t wanted = length_ ? length_->samples(frame.sample_rate) - source_taken_ : frame.nb_samples;
  const int count = static_cast<int>(std::min<int64_t>(frame.nb_samples, wanted));
  if (count <= 0) return;
  if (!context_ || frame.sample_rate != source_rate_ || frame.format != source_format_ ||
      frame.ch_layout.nb_channels != source_channels_) {
    end();
    begin(frame);
  }
  taken_ += count, source_taken_ += count;
  const double seconds =
      static_cast<double>(begun_at_) / static_cast<double>(rate_) + static_cast<double>(taken_) / source_rate_;
  if (seconds > limits_.audio_seconds)
    fail(ErrorKind::data, fmt::format("the sound is longer than the {} s that are accepted", limits_.audio_seconds),
         "cut it into pieces");
  convert(const_cast<const uint8_t**>(frame.extended_data), count, swr_get_out_samples(context_.get(), count));
}

// The filter's tail may end a sample before or after the stretch.
void Resampler::end() {
  if (!context_) return;
  if (const int left = swr_get_out_samples(context_.get(), 0); left > 0) convert(nullptr, 0, left);
  const int64_t length = (taken_ * rate_ + source_rate_ - 1) / source_rate_;
  out_.resize(static_cast<size_t>(std::max<int64_t>(0, begun_at_ + length - taken_away_)), 0.0F);
  context_.reset();
}

std::vector<float> Resampler::take() {
  taken_away_ += static_cast<int64_t>(out_.size());
  return std::exchange(out_, {});
}

std::vector<float> Resampler::finish() {
  end();
  return std::move(out_);
}

}  // namespace antiphon::media
#endif
