#include "made_up.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/mixed.h>
#include <antiphon/media/audio/wav_file.h>
#include <antiphon/media/image/png_file.h>

#include <array>
#include <cmath>

namespace antiphon::mock {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kSampleRate = 16000;
constexpr double kLoudness = 0.1;
// Words that most tokenizers have as one token each.
constexpr std::array<const char*, 16> kWords{"the",  "one",  "time", "day",  "way",   "man",  "world", "life",
                                             "part", "case", "work", "week", "point", "home", "water", "room"};

// Random numbers of one sample, one after the other.
class Noise {
 public:
  Noise(int64_t seed, int64_t index)
      : state_(mixed(mixed(0, static_cast<uint64_t>(seed)), static_cast<uint64_t>(index))) {}
  uint64_t next() { return state_ = mixed(state_, 1); }

 private:
  uint64_t state_;
};

std::string words(int64_t count, Noise& noise) {
  std::string text;
  for (int64_t i = 0; i < count; ++i) text += (i ? " " : "") + std::string(kWords[noise.next() % kWords.size()]);
  return text;
}

std::string picture(int64_t width, int64_t height, Noise& noise) {
  Image image{height, width, std::vector<uint8_t>(static_cast<size_t>(3 * width * height))};
  for (auto& value : image.rgb) value = static_cast<uint8_t>(noise.next() >> 56);
  return media::png_file(image);
}

std::string sound(double seconds, Noise& noise) {
  Audio audio{kSampleRate, std::vector<float>(static_cast<size_t>(std::ceil(seconds * kSampleRate)))};
  for (auto& sample : audio.samples)
    sample = static_cast<float>(kLoudness * static_cast<double>(static_cast<int64_t>(noise.next())) * 0x1p-63);
  return media::wav_file(audio);
}

}  // namespace

DataRecord MadeUp::record(int64_t index) const {
  Noise noise(sizes_.seed, index);
  DataRecord record;
  record.number = number(index), record.closed = true;
  auto asked = Json::array();
  const auto add = [&](const char* modality, const std::string& name, std::string bytes) {
    record.media.emplace(name, MediaBytes::memory(std::move(bytes), fmt::format("mock {}: {}", record.number, name)));
    asked.push_back({{"type", modality}, {modality, name}});
  };
  for (int64_t i = 0; i < sizes_.pictures; ++i)
    add("image", fmt::format("{}.png", i), picture(sizes_.width, sizes_.height, noise));
  if (sizes_.seconds > 0) add("audio", "sound.wav", sound(sizes_.seconds, noise));
  asked.push_back({{"type", "text"}, {"text", words(sizes_.question_words, noise)}});
  const Json question{{"role", "user"}, {"content", asked}};
  const Json answer{{"role", "assistant"}, {"content", words(sizes_.answer_words, noise)}};
  const Json object{{"id", fmt::format("mock-{}", record.number)}, {"messages", Json::array({question, answer})}};
  record.bytes = object.dump();
  return record;
}

}  // namespace antiphon::mock
