// Speech by rules, of the library espeak-ng (Debian: libespeak-ng1, libespeak-ng-dev).
#include <antiphon/base/error.h>
#include <antiphon/component/register.h>
#include <antiphon/component/speech_synthesizer.h>
#include <antiphon/plugin/manifest.h>

#include <algorithm>

#include "speaking.h"

namespace antiphon::espeak {
namespace {

const config::Table<Voice>& voice_table() {
  using V = Voice;
  static const auto* table = new config::Table<V>(
      config::Table<V>("espeak")
          .field("voice", &V::name, "a voice of `espeak-ng --voices`, and a variant: en, de, en-us+f3")
          .field("words_per_minute", &V::words_per_minute, "how fast", {.min = 80, .max = 450})
          .field("pitch", &V::pitch, "how high", {.min = 0, .max = 100})
          .field("pitch_range", &V::pitch_range, "how lively; 0: in one tone", {.min = 0, .max = 100}));
  return *table;
}

}  // namespace

class Espeak : public SpeechSynthesizer {
 public:
  explicit Espeak(const Voice& voice) : voice_(voice), sample_rate_(spoken("a", voice).sample_rate) {}
  int64_t sample_rate() const override { return sample_rate_; }
  Audio say(const std::string& text) override {
    const auto said = spoken(text, voice_);
    if (std::ranges::all_of(said.samples, [](int16_t x) { return x == 0; }))
      fail(ErrorKind::data, "espeak says nothing of this text");
    Audio audio{said.sample_rate, {}};
    for (const auto x : said.samples) audio.samples.push_back(static_cast<float>(x) / 32768.0F);
    return audio;
  }

 private:
  Voice voice_;
  int64_t sample_rate_;
};

}  // namespace antiphon::espeak

ANTIPHON_PLUGIN(espeak, "0.1.0") {
  using namespace antiphon::espeak;
  antiphon::register_component<antiphon::SpeechSynthesizer, Espeak>(
      registrar, "espeak", "speech by rules, in more than a hundred languages", voice_table());
}
