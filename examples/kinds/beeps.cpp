// A speech synthesizer: a beep for each letter.
#include <antiphon/base/error.h>
#include <antiphon/component/register.h>
#include <antiphon/component/speech_synthesizer.h>
#include <antiphon/plugin/manifest.h>

#include <cctype>
#include <cmath>

using namespace antiphon;

class Beeps : public SpeechSynthesizer {
 public:
  int64_t sample_rate() const override { return 16000; }
  Audio say(const std::string& text) override {
    Audio audio{sample_rate(), {}};
    for (const unsigned char letter : text)
      for (int i = 0; std::isalpha(letter) != 0 && i < 400; ++i)
        audio.samples.push_back(0.5F * std::sin(0.001F * static_cast<float>(letter) * static_cast<float>(i)));
    if (audio.samples.empty()) fail(ErrorKind::data, "beeps: the text has no letter");
    return audio;
  }
};

ANTIPHON_PLUGIN(beeps, "0.1.0") { register_component<SpeechSynthesizer, Beeps>(registrar, "beeps", "a beep a letter"); }
