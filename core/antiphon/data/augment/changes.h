// What is done to media once the random numbers are drawn. Used inside this area.
#pragma once
#include <ATen/core/Tensor.h>

#include <antiphon/component/media_item.h>
#include <antiphon/data/augment/chance.h>
#include <antiphon/data/augment/options.h>
#include <antiphon/media/limits.h>

namespace antiphon::data {

// The samples times 10^(db / 20).
void gain(Audio& audio, double db);

// `noise` laid over the sound so that the sound's mean power is `snr_db` above the noise's over its own length. A
// longer noise is cut: its samples from `begin` on; a shorter one is laid at sample `begin` of the sound. Of equal
// lengths this is torchaudio.functional.add_noise. False, and nothing is done, if one of them is silent.
bool lay_noise(Audio& audio, const Audio& noise, int64_t begin, double snr_db);

// The sound in the room of an impulse response: convolved with it, from its first sample or its loudest one on, cut to
// the sound's length and brought to a largest magnitude of 1. False, and nothing is done, if one of them is silent.
// Source: NeMo, ImpulsePerturbation.
bool put_into_room(Audio& audio, const Audio& impulse, const ImpulseOptions& options);

// The sound `rate` times as fast at its own pitch: round(samples / rate) are left. librosa's stft, phase_vocoder and
// istft with windows of 512 samples, of 1024 for a rate below 1, half a window apart, as NeMo's TimeStretchPerturbation
// calls them. Source: Flanagan and Golden, Phase Vocoder, 1966.
void stretch(Audio& audio, double rate);

// The sound through a telephone: at most 0.8 loud, at 8000 samples a second, filters of second order that leave 300 to
// 3400 Hz, G.711, and back, as long as it was. Source: NeMo, TranscodePerturbation, with its codec g711. Errors:
// media::resample().
void telephone(Audio& audio, const std::string& law, const media::MediaLimits& limits);
// A sample of 16 bits through ITU-T G.711: `law` "a" or "mu".
float through_g711(float sample, const std::string& law);

// Normal numbers of a standard deviation of 10^(db / 20), added to the samples.
void add_white_noise(Audio& audio, double db, Chance& chance);

// The sound so many milliseconds earlier, or later below 0, at its own length: what is free is silent. False, and
// nothing is done, if that is more than the sound lasts.
bool shift(Audio& audio, double milliseconds);

struct Mask {
  int64_t begin = 0, width = 0;
  bool operator==(const Mask&) const = default;
};
// The masks of one part of so many mel bands and frames, as NeMo's SpectrogramAugmentation draws them: each begins at a
// whole number from 0 to size - most, and has a width from 0 to most, both included.
struct Masks {
  std::vector<Mask> bands, frames;
};
Masks masks_of(const SpecAugmentOptions& options, int64_t mels, int64_t frames, Chance& chance);

// Where torchvision's RandomResizedCrop.get_params() cuts a picture.
struct Crop {
  int64_t top = 0, left = 0, height = 0, width = 0;
};
Crop crop_of(const ImageAugmentOptions& options, int64_t height, int64_t width, Chance& chance);

}  // namespace antiphon::data
