#include <antiphon/component/speech_synthesizer.h>

#include <algorithm>
#include <cmath>

#include "subject.h"

namespace antiphon::apps::conformance {
namespace {

const std::string kText = "Good morning. What is the weather like?";

void says_something(SpeechSynthesizer& synthesizer) {
  const auto audio = synthesizer.say(kText);
  expect(audio.sample_rate == synthesizer.sample_rate() && audio.sample_rate >= 8000,
         "expected samples at sample_rate() = {} Hz, at least 8000, got {} Hz", synthesizer.sample_rate(),
         audio.sample_rate);
  expect(audio.seconds() > 0.2 && audio.seconds() < 60, "expected a sentence of some seconds, got {} s",
         audio.seconds());
  const auto bad = std::ranges::count_if(audio.samples, [](float x) { return !std::isfinite(x) || std::abs(x) > 1; });
  expect(bad == 0, "expected samples within [-1, 1], got {} others", bad);
  expect(std::ranges::any_of(audio.samples, [](float x) { return std::abs(x) > 0.01F; }),
         "expected speech, got silence");
}

// What was said before is not heard.
void says_the_same(SpeechSynthesizer& synthesizer, SpeechSynthesizer& other) {
  const auto first = synthesizer.say(kText).samples;
  const auto between = synthesizer.say("Something else, for a while.").samples;
  expect(between != first, "expected other speech of other words");
  expect(synthesizer.say(kText).samples == first, "expected the same samples of the same text, after another one");
  expect(other.say(kText).samples == first, "expected the same samples from another one of its kind");
}

// Said, or refused in words; what follows is said as before.
void survives_any_text(SpeechSynthesizer& synthesizer) {
  const auto first = synthesizer.say(kText).samples;
  const std::vector<std::string> texts{"",
                                       " \n\t ",
                                       "...",
                                       "<speak><break time='1000s'/></speak>",
                                       "[[h@l'oU]] &amp; <",
                                       "\xF0\x9F\x98\x80",
                                       std::string(5000, 'x'),
                                       std::string("a\0b", 3),
                                       "%s %n {} \\"};
  for (const auto& text : texts) {
    try {
      expect(!synthesizer.say(text).samples.empty(), "expected samples or an Error(data)");
    } catch (const Error& error) {
      expect(error.kind() == ErrorKind::data, "expected an Error(data), got: {}", error.message());
    }
  }
  expect(synthesizer.say(kText).samples == first, "expected the same samples after other texts");
}

void check_speech_synthesizer(Report& report, const Subject& subject) {
  if (!check_options(report, subject, resolver<SpeechSynthesizer>(subject))) return;
  const auto synthesizer = build<SpeechSynthesizer>(subject), other = build<SpeechSynthesizer>(subject);
  report.check("say: a sentence, at its rate", [&] { says_something(*synthesizer); });
  report.check("say: the same text, the same samples", [&] { says_the_same(*synthesizer, *other); });
  report.check("say: any text is said or refused", [&] { survives_any_text(*synthesizer); });
}

const KindChecks registered{KindOf<SpeechSynthesizer>::name, check_speech_synthesizer};

}  // namespace
}  // namespace antiphon::apps::conformance
