#include <antiphon/eval/rouge.h>

#include <set>
#include <string>

#include <antiphon/base/strings.h>
#include <antiphon/eval/ngrams.h>
#include <antiphon/text/score_text.h>

namespace antiphon::eval {
namespace {

using Tokens = std::vector<std::string>;

Tokens rouge_tokens(std::string_view text) {
  Tokens tokens;
  bool inside = false;
  for (const char c : text::python_lower(text)) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (letter && !inside) tokens.emplace_back();
    if (letter) tokens.back() += c;
    inside = letter;
  }
  return tokens;
}

std::vector<Tokens> lines_of(std::string_view text) {
  std::vector<Tokens> lines;
  for (const auto& line : split(text, '\n'))
    if (!line.empty()) lines.push_back(rouge_tokens(line));
  return lines;
}

double f1(double common, double predicted, double expected) {
  const double precision = common / std::max(predicted, 1.0), recall = common / std::max(expected, 1.0);
  return precision + recall > 0 ? 2 * precision * recall / (precision + recall) : 0;
}

// [expected + 1, predicted + 1]: the longest common subsequence of the first words of each.
std::vector<std::vector<int>> common_table(const Tokens& expected, const Tokens& predicted) {
  std::vector<std::vector<int>> table(expected.size() + 1, std::vector<int>(predicted.size() + 1, 0));
  for (size_t i = 1; i <= expected.size(); ++i)
    for (size_t j = 1; j <= predicted.size(); ++j)
      table[i][j] =
          expected[i - 1] == predicted[j - 1] ? table[i - 1][j - 1] + 1 : std::max(table[i - 1][j], table[i][j - 1]);
  return table;
}

// Places in `expected` of one longest common subsequence; which of several, as the reference walks back.
void add_common(const Tokens& expected, const Tokens& predicted, std::set<size_t>& places) {
  const auto table = common_table(expected, predicted);
  for (size_t i = expected.size(), j = predicted.size(); i > 0 && j > 0;) {
    if (expected[i - 1] == predicted[j - 1])
      places.insert(--i), --j;
    else if (table[i][j - 1] > table[i - 1][j])
      --j;
    else
      --i;
  }
}

std::map<std::string, int> counts_of(const std::vector<Tokens>& lines, double& all) {
  std::map<std::string, int> counts;
  for (const auto& line : lines)
    for (const auto& word : line) ++counts[word], ++all;
  return counts;
}

}  // namespace

double rouge_n(std::string_view predicted, std::string_view expected, size_t n) {
  const auto p = ngrams(rouge_tokens(predicted), n), e = ngrams(rouge_tokens(expected), n);
  return f1(matches(p, e), total(p), total(e));
}

double rouge_l(std::string_view predicted, std::string_view expected) {
  const auto p = rouge_tokens(predicted), e = rouge_tokens(expected);
  return f1(common_table(e, p).back().back(), static_cast<double>(p.size()), static_cast<double>(e.size()));
}

double rouge_l_sum(std::string_view predicted, std::string_view expected) {
  const auto p = lines_of(predicted), e = lines_of(expected);
  double of_p = 0, of_e = 0, hits = 0;
  auto left_p = counts_of(p, of_p), left_e = counts_of(e, of_e);
  for (const auto& line : e) {
    std::set<size_t> places;
    for (const auto& other : p) add_common(line, other, places);
    for (const auto place : places) {
      auto &in_p = left_p[line[place]], &in_e = left_e[line[place]];
      if (in_p <= 0 || in_e <= 0) continue;
      ++hits, --in_p, --in_e;
    }
  }
  return f1(hits, of_p, of_e);
}

}  // namespace antiphon::eval
