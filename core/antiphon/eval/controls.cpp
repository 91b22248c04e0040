#include <antiphon/eval/controls.h>

#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>

#include <algorithm>
#include <random>
#include <set>

namespace antiphon::eval {
namespace {

struct Slot {
  size_t sample, media;
};

std::set<std::string> own_keys(const Sample& sample, Modality modality) {
  std::set<std::string> keys;
  for (const auto& media : sample.media)
    if (media.modality == modality) keys.insert(media.bytes.key());
  return keys;
}

void rotate(std::vector<Sample>& samples, Modality modality, std::mt19937_64& random) {
  const auto originals = samples;
  std::vector<Slot> slots;
  for (size_t i = 0; i < samples.size(); ++i)
    for (size_t m = 0; m < samples[i].media.size(); ++m)
      if (samples[i].media[m].modality == modality) slots.push_back({i, m});
  if (slots.empty()) return;
  for (size_t i = slots.size(); i > 1; --i) std::swap(slots[i - 1], slots[random() % i]);
  std::vector<MediaRef> media;
  for (const auto& slot : slots) media.push_back(samples[slot.sample].media[slot.media]);
  for (size_t i = 0; i < slots.size(); ++i) {
    const auto own = own_keys(originals[slots[i].sample], modality);
    size_t offset = 1;  // on to the next file that is another one
    while (offset < slots.size() && own.contains(media[(i + offset) % slots.size()].bytes.key())) ++offset;
    if (offset == slots.size())
      fail(ErrorKind::data,
           "media cannot be shuffled: no other sample names another file than " + shown(media[i].bytes.name()),
           "evaluate more samples, or leave 'shuffled' out of eval.controls");
    auto& own_place = samples[slots[i].sample].media[slots[i].media];
    const auto& other = media[(i + offset) % slots.size()];
    own_place.bytes = other.bytes, own_place.begin = other.begin, own_place.seconds = other.seconds;
  }
}

}  // namespace

std::vector<Sample> with_shuffled_media(const std::vector<Sample>& samples, uint64_t seed,
                                        const std::vector<Modality>& modalities) {
  auto shuffled = samples;
  std::mt19937_64 random(seed);
  for (const auto modality : {Modality::image, Modality::audio, Modality::video})
    if (modalities.empty() || std::find(modalities.begin(), modalities.end(), modality) != modalities.end())
      rotate(shuffled, modality, random);
  return shuffled;
}

std::vector<Sample> without_media(std::vector<Sample> samples) {
  for (auto& sample : samples) {
    sample.media.clear();
    const auto drop = [](std::vector<SampleTurn>& turns) {
      for (auto& turn : turns) std::erase_if(turn.parts, [](const auto& part) { return part.media >= 0; });
    };
    drop(sample.turns);
    for (auto& candidate : sample.candidates) drop(candidate.turns), candidate.media.clear();
  }
  return samples;
}

}  // namespace antiphon::eval
