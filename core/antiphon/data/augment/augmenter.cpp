#include <antiphon/data/augment/augmenter.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/base/mixed.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>
#include <antiphon/data/augment/changes.h>
#include <antiphon/data/piece.h>
#include <antiphon/media/audio/speed.h>
#include <antiphon/media/decode.h>
#include <antiphon/media/image/colour.h>

#include <algorithm>

namespace antiphon::data {
namespace {

// Kinds of random numbers; part of what a seed means.
enum Kind : size_t {
  kSpeed,
  kNoise,
  kGain,
  kSpecAugment,
  kFlip,
  kCrop,
  kColours,
  kImpulse,
  kWhiteNoise,
  kShift,
  kTimeStretch,
  kTranscode
};
constexpr std::array<std::string_view, 12> kKinds{"speed",       "noise", "gain",         "spec_augment",
                                                  "flip",        "crop",  "colours",      "impulse",
                                                  "white_noise", "shift", "time_stretch", "transcode"};

const MediaRef& one_of(const std::vector<MediaRef>& all, Chance& chance) {
  return all[static_cast<size_t>(chance.whole(0, std::ssize(all) - 1))];
}

// Of SpeedOptions and TimeStretchOptions.
double rate_of(const auto& o, Chance& chance) {
  const auto step = static_cast<double>(chance.whole(0, o.num_rates - 1)) /
                    static_cast<double>(std::max<int64_t>(1, o.num_rates - 1));
  return o.min_speed_rate + (o.max_speed_rate - o.min_speed_rate) * step;
}

std::string file_of(const MediaRef& ref) { return shown(std::filesystem::path(ref.bytes.name()).filename().string()); }

bool has(const model::MultimodalLm& model, Modality modality) {
  return std::ranges::any_of(model.streams(), [&](const auto& one) { return one.second->modality() == modality; });
}

void check_stream(bool used, const model::MultimodalLm& model, Modality modality, const char* what) {
  if (used && !has(model, modality))
    fail(ErrorKind::config, fmt::format("data.augment changes {}, and the model has no stream that takes any", what),
         "leave it out, or add such a stream");
}

void check_spectrograms(const model::MultimodalLm& model) {
  for (const auto& [name, stream] : model.streams())
    for (const auto& slot : stream->encoders())
      if (stream->modality() == Modality::audio && !slot.encoder->spectrogram())
        fail(ErrorKind::config,
             fmt::format("data.augment.spec_augment masks spectrograms, and the encoder {} of stream {} has none",
                         slot.spec.plugin, name),
             "leave out freq_masks and time_masks");
}

// Frames of part `index` that the sound fills; the rest is padding.
int64_t own_frames(const Spectrogram& shape, bool chunked, int64_t frames, int64_t index, int64_t samples) {
  if (chunked) return frames;
  const int64_t all = (samples + shape.samples_per_frame - 1) / shape.samples_per_frame;
  return std::clamp<int64_t>(all - index * frames, 1, frames);
}

}  // namespace

uint64_t augment_seed(uint64_t run_seed, size_t source, int64_t index, int64_t epoch) {
  return mixed(mixed(mixed(mixed(0, run_seed), source), static_cast<uint64_t>(index)), static_cast<uint64_t>(epoch));
}

Augmenter::Augmenter(const AugmentOptions& options, const model::MultimodalLm& model, const media::MediaLimits& limits)
    : options_(options), limits_(limits) {
  check_stream(options.changes_sound() || options.masks(), model, Modality::audio, "sounds");
  check_stream(options.changes_images(), model, Modality::image, "pictures");
  if (options.masks()) check_spectrograms(model);
  if (options.noise.probability > 0) noises_ = noises_of(options.noise.path);
  if (options.impulse.probability > 0) rooms_ = noises_of(options.impulse.path, "impulse");
}

void Augmenter::note(size_t kind, const std::string& what, std::string* told) const {
  if (!told) return;
  ++done_[kind];
  *told += (told->empty() ? "" : ", ") + what;
}

MediaItem Augmenter::changed(MediaItem item, uint64_t seed, std::string& told) const {
  ++seen_;
  if (item.modality == Modality::image) change_image(item.image, seed, &told);
  if (item.modality == Modality::audio) change_sound(item.audio, seed, told);
  auto& frames = item.video.images;
  for (size_t i = 0; i < frames.size(); ++i) change_image(frames[i], seed, i == 0 ? &told : nullptr);
  return item;
}

void Augmenter::change_sound(Audio& audio, uint64_t seed, std::string& told) const {
  change_speed(audio, seed, told);
  change_length(audio, seed, told);
  if (!rooms_.empty()) enter_room(audio, seed, told);
  if (!noises_.empty()) add_noise(audio, seed, told);
  change_level(audio, seed, told);
  if (Chance chance(seed, kShift); chance.happens(options_.shift.probability)) {
    const double by = chance.between(options_.shift.min_shift_ms, options_.shift.max_shift_ms);
    if (shift(audio, by)) note(kShift, fmt::format("shift {:+.1f} ms", by), &told);
  }
  if (Chance chance(seed, kTranscode); chance.happens(options_.transcode.probability)) {
    telephone(audio, options_.transcode.law, limits_);
    note(kTranscode, "telephone", &told);
  }
}

void Augmenter::change_speed(Audio& audio, uint64_t seed, std::string& told) const {
  Chance chance(seed, kSpeed);
  if (!chance.happens(options_.speed.probability)) return;
  const double rate = rate_of(options_.speed, chance);
  audio = media::change_speed(audio, rate, limits_);
  note(kSpeed, fmt::format("speed {:.3g}", rate), &told);
}

void Augmenter::change_length(Audio& audio, uint64_t seed, std::string& told) const {
  Chance chance(seed, kTimeStretch);
  if (!chance.happens(options_.time_stretch.probability)) return;
  const double rate = rate_of(options_.time_stretch, chance);
  stretch(audio, rate);
  note(kTimeStretch, fmt::format("stretch {:.3g}", rate), &told);
}

void Augmenter::change_level(Audio& audio, uint64_t seed, std::string& told) const {
  if (Chance chance(seed, kWhiteNoise); chance.happens(options_.white_noise.probability)) {
    const double db = chance.between(options_.white_noise.min_level, options_.white_noise.max_level);
    add_white_noise(audio, db, chance);
    note(kWhiteNoise, fmt::format("white noise of {:.1f} dB", db), &told);
  }
  if (Chance chance(seed, kGain); chance.happens(options_.gain.probability)) {
    const double db = chance.between(options_.gain.min_gain_db, options_.gain.max_gain_db);
    gain(audio, db);
    note(kGain, fmt::format("gain {:+.1f} dB", db), &told);
  }
}

// One that is damaged is not the sample's fault.
Audio Augmenter::recording(const MediaRef& ref, int64_t sample_rate, const char* key) const {
  try {
    return piece_of(
        media::decode_audio(ref.bytes.read(limits_.file_bytes), sample_rate, ref.bytes.extension(), limits_), ref);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    fail(ErrorKind::config, fmt::format("the {} {} cannot be read: {}", key, shown(ref.bytes.name()), error.message()),
         fmt::format("take it out of data.augment.{}.path", key));
  }
}

void Augmenter::enter_room(Audio& audio, uint64_t seed, std::string& told) const {
  Chance chance(seed, kImpulse);
  if (!chance.happens(options_.impulse.probability)) return;
  const auto& ref = one_of(rooms_, chance);
  if (put_into_room(audio, recording(ref, audio.sample_rate, "impulse"), options_.impulse))
    note(kImpulse, "room " + file_of(ref), &told);
}

void Augmenter::add_noise(Audio& audio, uint64_t seed, std::string& told) const {
  Chance chance(seed, kNoise);
  if (!chance.happens(options_.noise.probability)) return;
  const auto& ref = one_of(noises_, chance);
  const auto noise = recording(ref, audio.sample_rate, "noise");
  const double snr = chance.between(options_.noise.min_snr_db, options_.noise.max_snr_db);
  const auto difference = std::ssize(noise.samples) - std::ssize(audio.samples);
  if (lay_noise(audio, noise, chance.whole(0, std::abs(difference)), snr))
    note(kNoise, fmt::format("noise {} at {:.1f} dB", file_of(ref), snr), &told);
}

void Augmenter::change_image(Image& image, uint64_t seed, std::string* told) const {
  if (Chance chance(seed, kCrop); chance.happens(options_.image.crop)) {
    const auto crop = crop_of(options_.image, image.height, image.width, chance);
    image = media::resized_crop(image, crop.top, crop.left, {crop.height, crop.width}, {image.height, image.width});
    note(kCrop, fmt::format("crop {}x{} at {},{}", crop.width, crop.height, crop.left, crop.top), told);
  }
  if (Chance chance(seed, kFlip); chance.happens(options_.image.flip)) {
    media::flip(image);
    note(kFlip, "flipped", told);
  }
  change_colours(image, seed, told);
}

// In an order that is drawn, too.
void Augmenter::change_colours(Image& image, uint64_t seed, std::string* told) const {
  struct Change {
    const char* name;
    double range;
    void (*adjust)(Image&, double);
    double value = 0;
  };
  const auto& o = options_.image;
  std::array<Change, 4> changes{{{"brightness", o.brightness, media::adjust_brightness},
                                 {"contrast", o.contrast, media::adjust_contrast},
                                 {"saturation", o.saturation, media::adjust_saturation},
                                 {"hue", o.hue, media::adjust_hue}}};
  Chance chance(seed, kColours);
  for (auto& change : changes) {
    const bool turns = change.adjust == media::adjust_hue;
    change.value = chance.between(turns ? -change.range : std::max(0.0, 1 - change.range),
                                  turns ? change.range : 1 + change.range);
  }
  for (size_t i = changes.size(); i > 1; --i)
    std::swap(changes[i - 1], changes[static_cast<size_t>(chance.whole(0, static_cast<int64_t>(i) - 1))]);
  std::vector<std::string> words;
  for (const auto& change : changes) {
    if (change.range == 0) continue;
    change.adjust(image, change.value);
    words.push_back(fmt::format("{} {:.2f}", change.name, change.value));
  }
  if (!words.empty()) note(kColours, join(words, ", "), told);
}

void Augmenter::mask(model::StreamItem& item, const model::Stream& stream, int64_t samples, uint64_t seed,
                     std::string& told) const {
  if (!options_.masks() || stream.modality() != Modality::audio) return;
  const bool chunked = stream.chunking().samples > 0;
  int64_t bands = 0, stretches = 0;
  for (size_t e = 0; e < item.inputs.size(); ++e) {
    const auto shape = *stream.encoders()[e].encoder->spectrogram();
    Chance chance(seed, kSpecAugment);
    for (size_t part = 0; part < item.inputs[e].size(); ++part) {
      auto& y = item.inputs[e][part];
      const int64_t frames = own_frames(shape, chunked, y.size(shape.frame_axis), static_cast<int64_t>(part), samples);
      const auto masks = masks_of(options_.spec_augment, y.size(shape.mel_axis), frames, chance);
      for (const auto& mask : masks.bands) y.narrow(shape.mel_axis, mask.begin, mask.width).zero_(), ++bands;
      for (const auto& mask : masks.frames) y.narrow(shape.frame_axis, mask.begin, mask.width).zero_(), ++stretches;
    }
  }
  note(kSpecAugment, fmt::format("{} bands and {} stretches masked", bands, stretches), &told);
}

std::string Augmenter::describe() const {
  if (!any()) return "";
  std::string recordings;
  for (const auto* all : {&noises_, &rooms_})
    for (const auto& ref : *all)
      recordings += fmt::format("{} {} {}\n", ref.bytes.file().filename().string(), ref.begin, ref.seconds);
  return fmt::format("augmented by {} ({})", options_.describe(),
                     content_hash(options_.settings() + recordings).substr(0, 8));
}

std::string Augmenter::counts() const {
  std::vector<std::string> words;
  for (size_t i = 0; i < kKinds.size(); ++i)
    if (done_[i] > 0) words.push_back(fmt::format("{} {}", kKinds[i], done_[i].load()));
  return fmt::format("{} of {} media", words.empty() ? "none" : join(words, ", "), seen_.load());
}

}  // namespace antiphon::data
