// Sounds at other rates: with the pitch, or with the number of samples in a second.
#pragma once
#include <antiphon/component/media_item.h>
#include <antiphon/media/limits.h>

namespace antiphon::media {

// As sox's `speed` and torchaudio.functional.speed: the samples are taken to be at int(rate * sample_rate) Hz, and are
// resampled to sample_rate by the filter of decode_audio(). Of n samples, ceil(n * sample_rate / that rate) are left.
// Error(config) in a build without FFmpeg; Error(data) beyond the limits.
Audio change_speed(const Audio& audio, double rate, const MediaLimits& limits = {});

// The same sound at so many samples a second, 1000 or more, by that filter. Errors likewise.
Audio resample(const Audio& audio, int64_t sample_rate, const MediaLimits& limits = {});

}  // namespace antiphon::media
