// A speech synthesizer says a text. `antiphon data synthesize` makes spoken questions with it.
#pragma once
#include <string>

#include <antiphon/component/kind.h>
#include <antiphon/component/media_item.h>

namespace antiphon {

class SpeechSynthesizer {
 public:
  virtual ~SpeechSynthesizer() = default;
  // Of what it says, in Hz.
  virtual int64_t sample_rate() const = 0;
  // The text, valid UTF-8, as speech: some samples at sample_rate(). The same samples for the same text, whatever was
  // said before. Whatever the text holds, marks of a markup language too, is only words. Error(data) if nothing can be
  // said of it. Called by one thread at a time.
  virtual Audio say(const std::string& text) = 0;
};

template <>
struct KindOf<SpeechSynthesizer> : Kind<> {
  static constexpr const char* name = "speech_synthesizer";
};

}  // namespace antiphon
