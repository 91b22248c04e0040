// The [data.augment] part of a configuration: how media are changed at random in training.
#pragma once
#include <cstdint>
#include <string>

#include <antiphon/config/schema.h>

namespace antiphon::data {

// NeMo's perturbations (nemo/collections/asr/parts/preprocessing/perturb.py), with its names; each happens to a sound
// with its probability.
struct SpeedOptions {
  double probability = 0;
  double min_speed_rate = 0.9, max_speed_rate = 1.1;
  int64_t num_rates = 5;  // evenly spread, both ends included
};
struct TimeStretchOptions {
  double probability = 0;
  double min_speed_rate = 0.9, max_speed_rate = 1.1;
  int64_t num_rates = 5;
};
struct TranscodeOptions {
  double probability = 0;
  std::string law = "a";  // of G.711
};
struct NoiseOptions {
  double probability = 0;
  std::string path;
  double min_snr_db = 10, max_snr_db = 50;
};
struct ImpulseOptions {
  double probability = 0;
  std::string path;
  bool normalize_impulse = false, shift_impulse = false;
};
struct WhiteNoiseOptions {
  double probability = 0;
  double min_level = -90, max_level = -46;
};
struct ShiftOptions {
  double probability = 0;
  double min_shift_ms = -5, max_shift_ms = 5;
};
struct GainOptions {
  double probability = 0;
  double min_gain_db = -10, max_gain_db = 10;
};

// SpecAugment (arXiv 1904.08779), as NeMo draws it (nemo/collections/asr/parts/submodules/spectr_augment.py), with the
// widths of its FastConformer recipes.
struct SpecAugmentOptions {
  int64_t freq_masks = 0, time_masks = 0;
  int64_t freq_width = 27;   // mel bands at most
  double time_width = 0.05;  // below 1: of the part's frames at most; else a number of frames
};

// torchvision's RandomHorizontalFlip, RandomResizedCrop and ColorJitter, with its names and default ranges.
struct ImageAugmentOptions {
  double flip = 0;  // probability
  double crop = 0;  // probability
  double min_scale = 0.08, max_scale = 1, min_ratio = 0.75, max_ratio = 4.0 / 3;
  double brightness = 0, contrast = 0, saturation = 0;  // a factor from max(0, 1 - x) to 1 + x
  double hue = 0;                                       // a turn from -x to x of the colour circle
};

struct AugmentOptions {
  SpeedOptions speed;
  TimeStretchOptions time_stretch;
  ImpulseOptions impulse;
  NoiseOptions noise;
  WhiteNoiseOptions white_noise;
  GainOptions gain;
  ShiftOptions shift;
  TranscodeOptions transcode;
  SpecAugmentOptions spec_augment;
  ImageAugmentOptions image;
  bool changes_sound() const;  // its samples
  bool masks() const;          // its spectrogram
  bool changes_images() const;
  bool any() const { return changes_sound() || masks() || changes_images(); }
  // "speed, noise, spec_augment"; empty without any.
  std::string describe() const;
  // Every option as text, for what decides how media are changed. Kinds that came later count only if they are used.
  std::string settings() const;
};

const config::Table<AugmentOptions>& augment_table();
void check_augment(const AugmentOptions& options, config::Problems& problems);

}  // namespace antiphon::data
