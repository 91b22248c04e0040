// Media changed at random, for training. All that is drawn follows from a seed, so a sample is changed alike by
// whatever thread or process prepares it, and when it is prepared again.
#pragma once
#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include <antiphon/component/media_item.h>
#include <antiphon/component/sample.h>
#include <antiphon/data/augment/options.h>
#include <antiphon/media/limits.h>
#include <antiphon/model/multimodal_lm.h>

namespace antiphon::data {

// The seed of what chance decides about a sample in one of its epochs.
uint64_t augment_seed(uint64_t run_seed, size_t source, int64_t index, int64_t epoch);

class Augmenter {
 public:
  // Error(config) if noises or rooms are asked for and there are none, or if the model has no stream that takes what is
  // changed: spectrograms are those of encoders that say so (Encoder::spectrogram()).
  Augmenter(const AugmentOptions& options, const model::MultimodalLm& model, const media::MediaLimits& limits = {});

  bool any() const { return options_.any(); }
  // A sound: speed, stretch, room, noise, white noise, gain, shift, telephone, in this order. A picture: crop, flip,
  // then the colours. What was done is added to `told`: "speed 0.95, noise rain.wav at 12.3 dB". Error(config) if a
  // noise or a room cannot be read. Thread-safe.
  MediaItem changed(MediaItem item, uint64_t seed, std::string& told) const;
  // Sets bands and stretches of the item's spectrograms to 0; `samples` are those of the sound. Thread-safe.
  void mask(model::StreamItem& item, const model::Stream& stream, int64_t samples, uint64_t seed,
            std::string& told) const;
  // Of the options and of the noises: what decides how media are changed.
  std::string describe() const;
  // "speed 12, spec_augment 30 of 60 media": how often each has been done by this process.
  std::string counts() const;

 private:
  void change_sound(Audio& audio, uint64_t seed, std::string& told) const;
  // `told`: nullptr for one more frame of the same video.
  void change_image(Image& image, uint64_t seed, std::string* told) const;
  void change_colours(Image& image, uint64_t seed, std::string* told) const;
  void change_speed(Audio& audio, uint64_t seed, std::string& told) const;
  void change_length(Audio& audio, uint64_t seed, std::string& told) const;
  void enter_room(Audio& audio, uint64_t seed, std::string& told) const;
  void add_noise(Audio& audio, uint64_t seed, std::string& told) const;
  void change_level(Audio& audio, uint64_t seed, std::string& told) const;
  Audio recording(const MediaRef& ref, int64_t sample_rate, const char* key) const;
  void note(size_t kind, const std::string& what, std::string* told) const;

  AugmentOptions options_;
  media::MediaLimits limits_;
  std::vector<MediaRef> rooms_, noises_;
  mutable std::array<std::atomic<int64_t>, 12> done_{};
  mutable std::atomic<int64_t> seen_{0};
};

// The recordings of a folder, by name, or of a manifest, which data.augment.`kind`.path names. Error(config) if there
// are none.
std::vector<MediaRef> noises_of(const std::filesystem::path& folder_or_manifest, const char* kind = "noise");

}  // namespace antiphon::data
