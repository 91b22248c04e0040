// Scores of an answer against the expected one, and what can be said about a mean of them.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace antiphon::eval {

// What exact match, F1, WER and CER compare. `normalizer` "jiwer": lower case, no punctuation, single spaces
// (text::without_punctuation); "whisper": Whisper's BasicTextNormalizer (text::whisper_basic).
std::string normalize_answer(std::string_view text, std::string_view normalizer = "jiwer");

struct EditCounts {
  int64_t errors = 0, reference = 0;  // substitutions + insertions + deletions; length of the reference
};
// Of normalised texts.
EditCounts word_errors(std::string_view predicted, std::string_view expected);
// Over Unicode characters of normalised texts.
EditCounts character_errors(std::string_view predicted, std::string_view expected);
// Harmonic mean of precision and recall over words of normalised texts, as in SQuAD (Rajpurkar et al. 2016).
double token_f1(std::string_view predicted, std::string_view expected);
// chrF2 of one sentence in [0, 100]: characters 1-6, beta 2, no words, white space removed (Popović 2015; sacrebleu's
// sentence_chrf). Of the texts as they are.
double chrf(std::string_view predicted, std::string_view expected);

struct Interval {
  double mean = 0, low = 0, high = 0;  // 95 %
};
// Bootstrap over samples (Efron 1979), percentile interval.
Interval bootstrap(const std::vector<double>& values, int64_t resamples, uint64_t seed);
// The same for a ratio of sums, e.g. errors over reference words.
Interval bootstrap_ratio(const std::vector<double>& numerators, const std::vector<double>& denominators,
                         int64_t resamples, uint64_t seed);
// One-sided paired sign-flip test: the chance of a mean difference at least this large if both were alike.
// Never below 1 / (resamples + 1); NaN if a difference is not finite.
double sign_flip_p(const std::vector<double>& differences, int64_t resamples, uint64_t seed);

}  // namespace antiphon::eval
