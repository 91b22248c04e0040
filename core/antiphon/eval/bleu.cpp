#include <antiphon/eval/bleu.h>

#include <cmath>

#include <antiphon/eval/ngrams.h>

namespace antiphon::eval {
namespace {

constexpr size_t kBleuOrder = 4;

}  // namespace

std::vector<double> bleu_counts(std::string_view predicted, std::string_view expected, std::string_view tokenizer) {
  const auto p = bleu_tokens(predicted, tokenizer), e = bleu_tokens(expected, tokenizer);
  std::vector<double> counts{static_cast<double>(p.size()), static_cast<double>(e.size())}, totals;
  for (size_t n = 1; n <= kBleuOrder; ++n) {
    const auto grams = ngrams(p, n);
    counts.push_back(matches(grams, ngrams(e, n)));
    totals.push_back(total(grams));
  }
  counts.insert(counts.end(), totals.begin(), totals.end());
  return counts;
}

double bleu(std::span<const double> counts) {
  const double predicted = counts[0], expected = counts[1];
  const auto correct = counts.subspan(2, kBleuOrder), all = counts.subspan(2 + kBleuOrder, kBleuOrder);
  if (std::ranges::all_of(correct, [](double n) { return n == 0; })) return 0;
  double logs = 0, smooth = 1;
  for (size_t n = 0; n < kBleuOrder; ++n) {
    if (all[n] == 0) return 0;
    if (correct[n] == 0) smooth *= 2;
    logs += std::log(100 * (correct[n] == 0 ? 1 / (smooth * all[n]) : correct[n] / all[n]));
  }
  const double brevity = predicted < expected ? std::exp(1 - expected / predicted) : 1;
  return brevity * std::exp(logs / kBleuOrder);
}

}  // namespace antiphon::eval
