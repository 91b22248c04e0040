#include <antiphon/data/augment/options.h>

#include <fmt/format.h>

#include <antiphon/base/strings.h>

namespace antiphon::data {
namespace {

constexpr config::Rule kProbability{.min = 0, .max = 1};

const config::Table<SpeedOptions>& speed_table() {
  using O = SpeedOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("speed")
          .field("probability", &O::probability, "how often a sound is played faster or slower", kProbability)
          .field("min_speed_rate", &O::min_speed_rate, "the slowest", {.min = 0.25, .max = 4})
          .field("max_speed_rate", &O::max_speed_rate, "the fastest", {.min = 0.25, .max = 4})
          .field("num_rates", &O::num_rates, "how many rates, evenly spread, both ends included",
                 {.min = 1, .max = 1000}));
  return *table;
}

const config::Table<TimeStretchOptions>& time_stretch_table() {
  using O = TimeStretchOptions;
  static const auto* table =
      new config::Table<O>(config::Table<O>("time_stretch")
                               .field("probability", &O::probability,
                                      "how often a sound is made shorter or longer at its own pitch", kProbability)
                               .field("min_speed_rate", &O::min_speed_rate, "the slowest", {.min = 0.25, .max = 4})
                               .field("max_speed_rate", &O::max_speed_rate, "the fastest", {.min = 0.25, .max = 4})
                               .field("num_rates", &O::num_rates, "how many rates, evenly spread, both ends included",
                                      {.min = 1, .max = 1000}));
  return *table;
}

const config::Table<TranscodeOptions>& transcode_table() {
  using O = TranscodeOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("transcode")
          .field("probability", &O::probability, "how often a sound comes through a telephone (G.711)", kProbability)
          .field("law", &O::law, "a: A-law, of most countries; mu: mu-law, of North America and Japan",
                 {.choices = {"a", "mu"}}));
  return *table;
}

const config::Table<NoiseOptions>& noise_table() {
  using O = NoiseOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("noise")
          .field("probability", &O::probability, "how often noise is added to a sound", kProbability)
          .field("path", &O::path, "the noises: a folder of recordings, or a manifest with an audio_filepath a line")
          .field("min_snr_db", &O::min_snr_db, "the loudest noise: the sound's power over the noise's, in dB",
                 {.min = -60, .max = 120})
          .field("max_snr_db", &O::max_snr_db, "the softest noise", {.min = -60, .max = 120}));
  return *table;
}

const config::Table<ImpulseOptions>& impulse_table() {
  using O = ImpulseOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("impulse")
          .field("probability", &O::probability, "how often a sound is put into a room", kProbability)
          .field("path", &O::path,
                 "the rooms' impulse responses: a folder of recordings, or a manifest with an audio_filepath a line")
          .field("normalize_impulse", &O::normalize_impulse, "to a mean of 0 and a largest magnitude of 1 first")
          .field("shift_impulse", &O::shift_impulse,
                 "begin at the response's loudest sample, so that nothing is late"));
  return *table;
}

const config::Table<WhiteNoiseOptions>& white_noise_table() {
  using O = WhiteNoiseOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("white_noise")
          .field("probability", &O::probability, "how often white noise is added to a sound", kProbability)
          .field("min_level", &O::min_level, "the softest, in dB of full scale", {.min = -200, .max = 0})
          .field("max_level", &O::max_level, "the loudest", {.min = -200, .max = 0}));
  return *table;
}

const config::Table<ShiftOptions>& shift_table() {
  using O = ShiftOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("shift")
          .field("probability", &O::probability, "how often a sound is moved in time", kProbability)
          .field("min_shift_ms", &O::min_shift_ms, "least milliseconds that it comes earlier; below 0: later",
                 {.min = -60000, .max = 60000})
          .field("max_shift_ms", &O::max_shift_ms, "most of them", {.min = -60000, .max = 60000}));
  return *table;
}

const config::Table<GainOptions>& gain_table() {
  using O = GainOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("gain")
          .field("probability", &O::probability, "how often a sound is made louder or softer", kProbability)
          .field("min_gain_db", &O::min_gain_db, "the least, in dB", {.min = -120, .max = 60})
          .field("max_gain_db", &O::max_gain_db, "the most, in dB", {.min = -120, .max = 60}));
  return *table;
}

const config::Table<SpecAugmentOptions>& spec_augment_table() {
  using O = SpecAugmentOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("spec_augment")
          .field("freq_masks", &O::freq_masks, "bands of mel frequencies set to 0 in each part", {.min = 0, .max = 100})
          .field("time_masks", &O::time_masks, "stretches of time set to 0 in each part", {.min = 0, .max = 1000})
          .field("freq_width", &O::freq_width, "mel bands of a mask at most", {.min = 1, .max = 1000})
          .field("time_width", &O::time_width, "frames of a mask at most; below 1: of the part's frames this share",
                 {.min = 0, .max = 100000, .above_min = true}));
  return *table;
}

const config::Table<ImageAugmentOptions>& image_augment_table() {
  using O = ImageAugmentOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("image")
          .field("flip", &O::flip, "how often a picture is mirrored, left to right", kProbability)
          .field("crop", &O::crop, "how often a part of a picture takes its place, at the picture's size", kProbability)
          .field("min_scale", &O::min_scale, "least area of the part, of the picture's",
                 {.min = 0, .max = 1, .above_min = true})
          .field("max_scale", &O::max_scale, "most of it", {.min = 0, .max = 1, .above_min = true})
          .field("min_ratio", &O::min_ratio, "least width of the part for its height", {.min = 0.01, .max = 100})
          .field("max_ratio", &O::max_ratio, "most of it", {.min = 0.01, .max = 100})
          .field("brightness", &O::brightness, "brightness times 1 - x to 1 + x", {.min = 0, .max = 10})
          .field("contrast", &O::contrast, "contrast times 1 - x to 1 + x", {.min = 0, .max = 10})
          .field("saturation", &O::saturation, "saturation times 1 - x to 1 + x", {.min = 0, .max = 10})
          .field("hue", &O::hue, "hue turned by -x to x of the colour circle", {.min = 0, .max = 0.5}));
  return *table;
}

void check_range(const char* names, double least, double most, config::Problems& problems) {
  if (least > most)
    problems.add({}, fmt::format("data.augment.{}: {} is above {}", names, least, most), "give the smaller one first");
}

}  // namespace

bool AugmentOptions::changes_sound() const {
  return speed.probability > 0 || time_stretch.probability > 0 || transcode.probability > 0 ||
         impulse.probability > 0 || noise.probability > 0 || white_noise.probability > 0 || gain.probability > 0 ||
         shift.probability > 0;
}

bool AugmentOptions::masks() const { return spec_augment.freq_masks > 0 || spec_augment.time_masks > 0; }

bool AugmentOptions::changes_images() const {
  return image.flip > 0 || image.crop > 0 || image.brightness > 0 || image.contrast > 0 || image.saturation > 0 ||
         image.hue > 0;
}

std::string AugmentOptions::describe() const {
  std::vector<std::string> words;
  const auto add = [&](const char* name, bool used) {
    if (used) words.push_back(name);
  };
  add("speed", speed.probability > 0), add("time_stretch", time_stretch.probability > 0);
  add("impulse", impulse.probability > 0);
  add("noise", noise.probability > 0), add("white_noise", white_noise.probability > 0);
  add("gain", gain.probability > 0), add("shift", shift.probability > 0);
  add("transcode", transcode.probability > 0);
  add("spec_augment", masks()), add("image", changes_images());
  return join(words, ", ");
}

std::string AugmentOptions::settings() const {
  auto value = augment_table().dump(this);
  auto& table = *value.get_if<config::Value::Table>();
  if (time_stretch.probability == 0) table.erase("time_stretch");
  if (transcode.probability == 0) table.erase("transcode");
  if (impulse.probability == 0) table.erase("impulse");
  if (white_noise.probability == 0) table.erase("white_noise");
  if (shift.probability == 0) table.erase("shift");
  return config::to_json(value, -1);
}

const config::Table<AugmentOptions>& augment_table() {
  using O = AugmentOptions;
  static const auto* table =
      new config::Table<O>(config::Table<O>("augment")
                               .table("speed", &O::speed, speed_table(), "of sounds")
                               .table("time_stretch", &O::time_stretch, time_stretch_table(), "of sounds")
                               .table("impulse", &O::impulse, impulse_table(), "of sounds")
                               .table("noise", &O::noise, noise_table(), "of sounds")
                               .table("white_noise", &O::white_noise, white_noise_table(), "of sounds")
                               .table("gain", &O::gain, gain_table(), "of sounds")
                               .table("shift", &O::shift, shift_table(), "of sounds")
                               .table("transcode", &O::transcode, transcode_table(), "of sounds")
                               .table("spec_augment", &O::spec_augment, spec_augment_table(), "of log-mel spectrograms")
                               .table("image", &O::image, image_augment_table(), "of pictures"));
  return *table;
}

void check_augment(const AugmentOptions& o, config::Problems& problems) {
  check_range("speed: min_speed_rate and max_speed_rate", o.speed.min_speed_rate, o.speed.max_speed_rate, problems);
  check_range("time_stretch: min_speed_rate and max_speed_rate", o.time_stretch.min_speed_rate,
              o.time_stretch.max_speed_rate, problems);
  check_range("noise: min_snr_db and max_snr_db", o.noise.min_snr_db, o.noise.max_snr_db, problems);
  check_range("white_noise: min_level and max_level", o.white_noise.min_level, o.white_noise.max_level, problems);
  check_range("shift: min_shift_ms and max_shift_ms", o.shift.min_shift_ms, o.shift.max_shift_ms, problems);
  check_range("gain: min_gain_db and max_gain_db", o.gain.min_gain_db, o.gain.max_gain_db, problems);
  check_range("image: min_scale and max_scale", o.image.min_scale, o.image.max_scale, problems);
  check_range("image: min_ratio and max_ratio", o.image.min_ratio, o.image.max_ratio, problems);
  if (o.noise.probability > 0 && o.noise.path.empty())
    problems.add({}, "data.augment.noise has a probability and no path", "name a folder or a manifest of noises");
  if (o.impulse.probability > 0 && o.impulse.path.empty())
    problems.add({}, "data.augment.impulse has a probability and no path",
                 "name a folder or a manifest of impulse responses");
  const auto& spec = o.spec_augment;
  if (spec.time_width >= 1 && spec.time_width != static_cast<double>(static_cast<int64_t>(spec.time_width)))
    problems.add({}, fmt::format("data.augment.spec_augment.time_width = {}", spec.time_width),
                 "from 1 on it is a whole number of frames");
}

}  // namespace antiphon::data
