// Where turns begin and end, on a detector that takes loudness for speech.
#include <antiphon/base/error.h>
#include <antiphon/session/test_voice.h>
#include <antiphon/session/turn_detector.h>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using namespace antiphon::session;

namespace {

// 'L' loud, 'm' between the thresholds, '.' silent: a window each. What happened: b, p, r, e, or '-'.
std::string events(const std::string& windows, size_t piece, const SessionOptions& options) {
  testing::TestVoice voice;
  TurnDetector detector(voice, options, 16000);
  std::vector<float> samples;
  for (const char c : windows) samples.insert(samples.end(), 100, c == 'L' ? 0.9F : c == 'm' ? 0.4F : 0.0F);
  std::string out;
  for (size_t at = 0; at < samples.size(); at += piece)
    detector.feed({samples.data() + at, std::min(piece, samples.size() - at)},
                  [&](std::span<const float> window, SpeechEvent event) {
                    CHECK(window.size() == 100);
                    out += "-bpre"[static_cast<int>(event)];
                  });
  return out;
}

}  // namespace

TEST_CASE("turns begin after min_speech and end after end_silence; shorter ones are neither") {
  SessionOptions options;
  options.min_speech = 2 * 0.00625, options.end_silence = 3 * 0.00625;
  for (const size_t piece : {1, 99, 100, 101, 250, 10000}) {
    CAPTURE(piece);
    CHECK(events("..L.LL..", piece, options) == "-----bp-");
    CHECK(events("LLL..L...LL", piece, options) == "-b-p-rp-e-b");
    CHECK(events("LLmm.mm", piece, options) == "-b--p-e");  // between the thresholds, it stays what it is
    CHECK(events("mmmm", piece, options) == "----");
  }
}

TEST_CASE("a detector of another rate is refused") {
  testing::TestVoice voice;
  CHECK_THROWS_AS(TurnDetector(voice, {}, 8000), Error);
}
