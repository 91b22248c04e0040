// BLEU of a whole set (Papineni et al. 2002), as sacrebleu 2.6 computes it with its defaults: 4-grams, one reference,
// smoothing "exp", case kept (Post 2018).
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace antiphon::eval {

// `tokenizer`: "13a" (mteval-v13a), "zh" (that after Chinese characters are set apart), "char" or "none" (white space).
std::vector<std::string> bleu_tokens(std::string_view text, std::string_view tokenizer);

// What is added up over samples: tokens of both, then 4 numbers of matches and 4 of n-grams of what was predicted.
std::vector<double> bleu_counts(std::string_view predicted, std::string_view expected, std::string_view tokenizer);
// In [0, 100].
double bleu(std::span<const double> counts);

}  // namespace antiphon::eval
