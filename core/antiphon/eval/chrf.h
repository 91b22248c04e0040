// chrF2 (Popović 2015) and chrF2++ (Popović 2017), as sacrebleu 2.6 computes them: characters 1-6 without white space,
// words 1-2 with punctuation at their ends apart, beta 2, orders that both texts have.
#pragma once
#include <span>
#include <string_view>
#include <vector>

namespace antiphon::eval {

// What is added up over samples: of each order n-grams predicted, expected, and common to both. `words`: as chrF++.
std::vector<double> chrf_counts(std::string_view predicted, std::string_view expected, bool words);
// Of one sample, or of sums over a set; in [0, 100].
double chrf(std::span<const double> counts);
// Of one sentence, without words (sacrebleu's sentence_chrf).
double chrf(std::string_view predicted, std::string_view expected);

}  // namespace antiphon::eval
