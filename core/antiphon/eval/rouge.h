// ROUGE (Lin 2004) of one sample as the package rouge-score computes it without a stemmer: F1 over words of a-z and 0-9
// in lower case, in [0, 1].
#pragma once
#include <string_view>

namespace antiphon::eval {

// Runs of n words.
double rouge_n(std::string_view predicted, std::string_view expected, size_t n);
// The longest common subsequence.
double rouge_l(std::string_view predicted, std::string_view expected);
// The same line by line: of each expected line, what any predicted line has in common with it.
double rouge_l_sum(std::string_view predicted, std::string_view expected);

}  // namespace antiphon::eval
