// Stop strings over tokens and over the text as it is shown.
#include <antiphon/engine/stop_strings.h>
#include <antiphon/text/tokenizer/small_tokenizer_test.h>

#include <catch2/catch_test_macros.hpp>

#include <random>

using namespace antiphon;
using namespace antiphon::engine;
using Ids = std::vector<int32_t>;

namespace {

// Ids of a text, by bytes and the merges of the small tokenizer as they come.
Ids ids_of(const text::Tokenizer& tokenizer, const std::string& text, bool merged) {
  if (merged) return tokenizer.encode(text);
  Ids ids;
  for (const unsigned char byte : text) ids.push_back(byte);
  return ids;
}

struct Shown {
  std::string text;
  size_t tokens = 0;  // that were needed
  size_t earliest_leak = 0;
};

Shown show(const text::Tokenizer& tokenizer, const Ids& ids, const std::vector<std::string>& stops) {
  AnswerText answer(tokenizer, stops);
  Shown shown;
  for (const auto id : ids) {
    ++shown.tokens;
    shown.text += answer.push(id);
    if (answer.stopped()) break;
  }
  shown.text += answer.finish();
  return shown;
}

}  // namespace

TEST_CASE("a text ends before the first stop string, whatever tokens it lies in, and shows nothing of it before") {
  const auto tokenizer = text::testing::chat_tokenizer();
  const std::vector<std::pair<std::string, std::string>> cases{{"say hello world", "say "},
                                                               {"hello", ""},
                                                               {"hell on earth", "hell on earth"},
                                                               {"hehello", "he"},
                                                               {"aaab", "a"},
                                                               {"aab", ""},
                                                               {"über \xF0\x9F\x98\x80 END", "über "},
                                                               {"no stop", "no stop"},
                                                               {"ends in hel", "ends in hel"}};
  const std::vector<std::string> stops{"hello", "aab", "\xF0\x9F\x98\x80"};
  for (const auto& [whole, expected] : cases)
    for (const bool merged : {true, false}) {
      INFO(whole << merged);
      const auto ids = ids_of(tokenizer, whole, merged);
      const auto shown = show(tokenizer, ids, stops);
      CHECK(shown.text == expected);
      CHECK(before_stop(tokenizer.decode(ids), stops) == expected);
      const StopStrings strings(tokenizer, stops);
      size_t end = 1;
      while (end <= ids.size() && !strings.completed_by_last(std::span(ids).first(end))) ++end;
      CHECK(end == (expected == whole ? ids.size() + 1 : shown.tokens));
    }
}

TEST_CASE("special tokens have no text: a stop string goes on over them and never ends in one") {
  const auto tokenizer = text::testing::chat_tokenizer();
  const int32_t special = *tokenizer.id_of("<|im_end|>");
  const StopStrings strings(tokenizer, {"ab", "<|im_end|>"});
  CHECK(strings.completed_by_last(Ids{'a', special, 'b'}));
  CHECK_FALSE(strings.completed_by_last(Ids{'a', 'b', special}));
  CHECK_FALSE(strings.completed_by_last(Ids{'a', special}));
  CHECK_FALSE(strings.completed_by_last(Ids{}));
  CHECK_FALSE(strings.completed_by_last(Ids{99999}));  // an id without a token
  CHECK_FALSE(strings.completed_by_last(Ids{'a', 'b', 'c'}));
}

TEST_CASE("of any texts and stop strings, what is shown is the decoded text up to the first of them") {
  const auto tokenizer = text::testing::chat_tokenizer();
  std::mt19937 random(5);
  for (int round = 0; round < 2000; ++round) {
    Ids ids;
    for (auto n = random() % 30; n > 0; --n) ids.push_back(random() % 8 ? 'a' + static_cast<int>(random() % 3) : 200);
    std::vector<std::string> stops;
    for (auto n = 1 + random() % 3; n > 0; --n) {
      auto& stop = stops.emplace_back();
      for (auto k = 1 + random() % 5; k > 0; --k) stop += static_cast<char>('a' + random() % 3);
    }
    CHECK(show(tokenizer, ids, stops).text == before_stop(tokenizer.decode(ids), stops));
  }
}
