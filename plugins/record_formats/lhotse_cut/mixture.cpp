#include "mixture.h"

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>
#include <antiphon/media/audio/wav_file.h>
#include <antiphon/media/decode.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <utility>

namespace antiphon::lhotse_cut {
namespace {

constexpr double kRounded = 0.025;  // seconds that a recording may be shorter than its piece

// Lhotse's compute_num_samples(): a half goes up, once what floating point added is gone.
int64_t samples_in(double seconds, int64_t rate) {
  constexpr double kDigits = 1e8;
  const double exact = std::round(seconds * static_cast<double>(rate) * kDigits) / kDigits;
  return static_cast<int64_t>(std::floor(exact + 0.5));
}

double seconds_of(const Mixture& mixture) {
  double seconds = 0;
  for (const auto& track : mixture.tracks)
    if (track.is_heard) seconds = std::max(seconds, track.offset + track.seconds);
  return seconds;
}

// What is too long is cut off; what rounding made too short goes on with its end backwards, as in Lhotse.
void fit(std::vector<float>& samples, int64_t count, int64_t rate) {
  const auto missing = count - std::ssize(samples), last = std::ssize(samples) - 1;
  if (missing > static_cast<int64_t>(std::ceil(kRounded * static_cast<double>(rate))) || missing > last)
    fail(ErrorKind::data, fmt::format("a sound of {} samples at {} Hz is to have {}", std::ssize(samples), rate, count),
         "the file is cut short, or it is another one");
  for (int64_t i = 1; i <= missing; ++i) samples.push_back(samples[static_cast<size_t>(last - i)]);
  samples.resize(static_cast<size_t>(count));
}

std::vector<float> piece_of(const Channel& channel, const Track& track, int64_t rate) {
  const media::MediaLimits limits;
  const auto& bytes = channel.bytes;
  auto samples =
      media::decode_audio(bytes.read(limits.file_bytes), rate, bytes.extension(), limits, channel.channel).samples;
  samples.erase(samples.begin(), samples.begin() + std::min(samples_in(track.begin, rate), std::ssize(samples)));
  fit(samples, samples_in(track.seconds, rate), rate);
  return samples;
}

struct Sound {
  std::vector<float> samples;
  double energy = 0;  // the mean of all channels' squares
};

Sound sound_of(const Track& track, int64_t rate) {
  Sound sound{std::vector<float>(static_cast<size_t>(samples_in(track.seconds, rate)))};
  for (const auto& channel : track.channels) {
    const auto own =
        with_context("reading " + shown(channel.bytes.name()), [&] { return piece_of(channel, track, rate); });
    for (size_t i = 0; i < own.size(); ++i) {
      sound.samples[i] += own[i];
      sound.energy += static_cast<double>(own[i]) * own[i];
    }
  }
  const auto count = sound.samples.size() * track.channels.size();
  if (count > 0) sound.energy /= static_cast<double>(count);
  return sound;
}

// By which the track is multiplied. The first one heard stays as it is if the others are measured by it.
double gain_of(const Mixture& mixture, size_t index, double energy, double reference) {
  const auto& tracks = mixture.tracks;
  const auto first = std::ranges::find(tracks, true, &Track::is_heard) - tracks.begin();
  const bool is_base = index == mixture.reference && static_cast<int64_t>(index) == first;
  const auto& snr = tracks[index].snr;
  return snr && !is_base && reference > 0 && energy > 0 ? std::sqrt(reference * std::pow(10.0, -*snr / 10) / energy)
                                                        : 1;
}

std::string make(const Mixture& mixture) {
  const auto& tracks = mixture.tracks;
  const auto rate = mixture.sample_rate;
  const bool is_measured = std::ranges::any_of(tracks, [](const Track& track) { return track.snr.has_value(); });
  std::optional<Sound> base;
  if (is_measured) base = sound_of(tracks[mixture.reference], rate);
  const double reference = base ? base->energy : 0;
  Audio out{rate, {}};
  for (size_t i = 0; i < tracks.size(); ++i) {
    if (!tracks[i].is_heard) continue;
    const auto [samples, energy] =
        base && i == mixture.reference ? *std::exchange(base, std::nullopt) : sound_of(tracks[i], rate);
    const auto gain = static_cast<float>(gain_of(mixture, i, energy, reference));
    const auto offset = static_cast<size_t>(samples_in(tracks[i].offset, rate));
    out.samples.resize(std::max(out.samples.size(), offset + samples.size()));
    for (size_t k = 0; k < samples.size(); ++k) out.samples[offset + k] += gain * samples[k];
  }
  fit(out.samples, samples_in(seconds_of(mixture), rate), rate);
  return media::float_wav_file(out);
}

std::string key_of(const Mixture& mixture) {
  auto key = fmt::format("{} {}", mixture.sample_rate, mixture.reference);
  for (const auto& track : mixture.tracks) {
    key += fmt::format("\n{} {} {} {} {}", track.begin, track.seconds, track.offset,
                       track.snr ? fmt::format("{}", *track.snr) : "as it is", track.is_heard);
    for (const auto& one : track.channels) key += fmt::format("\n{} {}", one.channel.value_or(-1), one.bytes.key());
  }
  return key;
}

}  // namespace

MediaBytes mixed(Mixture mixture, const std::string& name) {
  const media::MediaLimits limits;
  if (mixture.sample_rate <= 0 || mixture.sample_rate > limits.sample_rate)
    fail(ErrorKind::data, fmt::format("the cut has a sampling rate of {} Hz; expected one from 1 to {}",
                                      mixture.sample_rate, limits.sample_rate));
  double end = 0;
  for (const auto& track : mixture.tracks) end = std::max({end, track.begin, track.offset + track.seconds});
  if (end > limits.audio_seconds)
    fail(ErrorKind::data,
         fmt::format("a track of the cut lasts until {} s, or begins there in its recording; at most "
                     "{} s are mixed",
                     end, limits.audio_seconds),
         "write the mixture as a recording of its own: cut.save_audio(…)");
  auto key = key_of(mixture);
  const auto shared = std::make_shared<const Mixture>(std::move(mixture));
  return MediaBytes::made([shared] { return make(*shared); }, std::move(key), name + ".wav");
}

}  // namespace antiphon::lhotse_cut
