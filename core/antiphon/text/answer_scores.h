// Scores of an answer against the expected one, both normalised (score_text.h).
#pragma once
#include <cstdint>
#include <string_view>

namespace antiphon::text {

struct EditCounts {
  int64_t errors = 0, reference = 0;  // substitutions + insertions + deletions; length of the reference
};
EditCounts word_errors(std::string_view predicted, std::string_view expected);
// Over Unicode characters.
EditCounts character_errors(std::string_view predicted, std::string_view expected);
// Harmonic mean of precision and recall over words, as in SQuAD (Rajpurkar et al. 2016).
double token_f1(std::string_view predicted, std::string_view expected);

}  // namespace antiphon::text
