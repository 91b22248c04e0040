#include <antiphon/text/answer_scores.h>

#include <antiphon/base/strings.h>
#include <antiphon/text/score_text.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

namespace antiphon::text {
namespace {

std::vector<std::string> words_of(std::string_view normalized) {
  return normalized.empty() ? std::vector<std::string>() : split(normalized, ' ');
}

template <class Sequence>
int64_t edit_distance(const Sequence& a, const Sequence& b) {
  std::vector<int64_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    int64_t diagonal = std::exchange(row[0], static_cast<int64_t>(i));
    for (size_t j = 1; j <= b.size(); ++j) {
      const int64_t substitute = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substitute});
    }
  }
  return row.back();
}

}  // namespace

EditCounts word_errors(std::string_view predicted, std::string_view expected) {
  const auto reference = words_of(expected);
  return {edit_distance(words_of(predicted), reference), static_cast<int64_t>(reference.size())};
}

EditCounts character_errors(std::string_view predicted, std::string_view expected) {
  const auto reference = code_points(expected);
  return {edit_distance(code_points(predicted), reference), static_cast<int64_t>(reference.size())};
}

double token_f1(std::string_view predicted, std::string_view expected) {
  const auto p = words_of(predicted), e = words_of(expected);
  if (p.empty() || e.empty()) return p.empty() && e.empty() ? 1 : 0;
  std::map<std::string, int64_t> counts;
  for (const auto& word : e) ++counts[word];
  double common = 0;
  for (const auto& word : p)
    if (counts[word]-- > 0) ++common;
  return 2 * common / static_cast<double>(p.size() + e.size());
}

}  // namespace antiphon::text
