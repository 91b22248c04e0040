#include <antiphon/component/speech_synthesizer.h>

#include <cctype>
#include <cmath>

#include "faulty.h"

namespace antiphon::fixture {
namespace speech_synthesizer {
namespace {

enum class Fault { none, goes_on, too_loud, says_nothing };

// A beep for each letter.
template <Fault fault>
class Beeps : public SpeechSynthesizer {
 public:
  int64_t sample_rate() const override { return 16000; }
  Audio say(const std::string& text) override {
    const float volume = fault == Fault::too_loud ? 1.5F : 0.5F;
    if (fault == Fault::goes_on) phase_ += 1;
    Audio audio{sample_rate(), {}};
    for (const unsigned char letter : text)
      for (int i = 0; std::isalpha(letter) != 0 && i < 400; ++i)
        audio.samples.push_back(volume * std::sin(0.001F * static_cast<float>(letter * i) + phase_));
    if (audio.samples.empty() && fault != Fault::says_nothing) fail(ErrorKind::data, "the text has no letter");
    return audio;
  }

 private:
  float phase_ = 0;
};

}  // namespace
}  // namespace speech_synthesizer

void add_synthesizers(plugin::Registrar& registrar) {
  using namespace speech_synthesizer;
  register_component<SpeechSynthesizer, Beeps<Fault::none>>(registrar, "sound", "");
  register_component<SpeechSynthesizer, Beeps<Fault::goes_on>>(registrar, "goes_on", "from where the last text ended");
  register_component<SpeechSynthesizer, Beeps<Fault::too_loud>>(registrar, "too_loud", "beyond 1");
  register_component<SpeechSynthesizer, Beeps<Fault::says_nothing>>(registrar, "says_nothing", "and does not say so");
}

}  // namespace antiphon::fixture
