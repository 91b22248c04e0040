#include <antiphon/eval/chrf.h>

#include <antiphon/eval/ngrams.h>
#include <antiphon/text/english_numbers.h>
#include <antiphon/text/score_text.h>
#include <antiphon/text/unicode.h>

namespace antiphon::eval {
namespace {

// Python's string.punctuation.
bool is_mark(char c) {
  return std::string_view("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~").find(c) != std::string_view::npos;
}

// One mark at the end of a word is a word of its own, or else one at its beginning.
std::vector<std::string> words_and_marks(std::string_view text) {
  std::vector<std::string> out;
  for (const auto& word : text::python_words(text::to_valid_utf8(text))) {
    const bool one = text::code_points(word).size() == 1;
    if (!one && is_mark(word.back()))
      out.push_back(word.substr(0, word.size() - 1)), out.push_back(word.substr(word.size() - 1));
    else if (!one && is_mark(word.front()))
      out.push_back(word.substr(0, 1)), out.push_back(word.substr(1));
    else
      out.push_back(word);
  }
  return out;
}

template <class Sequence>
void add_orders(std::vector<double>& counts, const Sequence& predicted, const Sequence& expected, size_t orders) {
  for (size_t n = 1; n <= orders; ++n) {
    const auto p = ngrams(predicted, n), e = ngrams(expected, n);
    counts.insert(counts.end(), {e.empty() ? 0 : total(p), total(e), matches(p, e)});
  }
}

}  // namespace

std::vector<double> chrf_counts(std::string_view predicted, std::string_view expected, bool words) {
  std::vector<double> counts;
  add_orders(counts, text::without_spaces(predicted), text::without_spaces(expected), 6);
  if (words) add_orders(counts, words_and_marks(predicted), words_and_marks(expected), 2);
  return counts;
}

double chrf(std::span<const double> counts) {
  double precision = 0, recall = 0;
  int orders = 0;
  for (size_t i = 0; i + 2 < counts.size(); i += 3) {
    if (counts[i] == 0 || counts[i + 1] == 0) continue;
    precision += counts[i + 2] / counts[i], recall += counts[i + 2] / counts[i + 1];
    ++orders;
  }
  if (precision + recall == 0) return 0;
  precision /= orders, recall /= orders;
  return 100 * 5 * precision * recall / (4 * precision + recall);
}

double chrf(std::string_view predicted, std::string_view expected) {
  return chrf(chrf_counts(predicted, expected, false));
}

}  // namespace antiphon::eval
