#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>
#include <antiphon/text/score_text.h>
#include <antiphon/text/unicode.h>

#include <fmt/format.h>

#include <limits>

#include "match.h"

namespace antiphon::match {
namespace {

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

const config::Table<MatchOptions>& match_table() {
  using O = MatchOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("match")
          .field("how", &O::how,
                 "exact: the answer is the expected one; contains: the expected one's words stand in it, one after the "
                 "other; both without case and punctuation, as eval's accuracy compares; regex: `pattern` is found in "
                 "the answer as it is",
                 {.choices = {"exact", "contains", "regex"}})
          .field("pattern", &O::pattern,
                 "of regex: a regular expression of PCRE2, searched as Python's re.search does"));
  return *table;
}

std::optional<text::Rewrite> compiled(const MatchOptions& options) {
  if ((options.how == "regex") == options.pattern.empty())
    fail(ErrorKind::config,
         fmt::format("how = \"{}\" {} a pattern", options.how, options.pattern.empty() ? "without" : "beside"),
         "give `pattern` with how = \"regex\", and with nothing else");
  if (options.pattern.empty()) return {};
  try {
    return text::Rewrite(options.pattern, "");
  } catch (const Error& error) {
    fail(ErrorKind::config, fmt::format("the pattern {} is malformed: {}", options.pattern, error.message()),
         "correct the regular expression");
  }
}

// A text that takes too many steps does not end the run: it cannot be judged.
double found(const text::Rewrite& pattern, std::string_view text) try {
  return pattern.matches(text::to_valid_utf8(text)) ? 1 : 0;
} catch (const Error&) {
  return kUnknown;
}

}  // namespace

Match::Match(const MatchOptions& options) : contains_(options.how == "contains"), pattern_(compiled(options)) {}

double Match::of(const WrittenAnswer& answer) const {
  if (pattern_) return found(*pattern_, answer.text);
  if (answer.expected.empty()) return kUnknown;
  const auto expected = text::without_punctuation(answer.expected), written = text::without_punctuation(answer.text);
  if (!contains_) return written == expected ? 1 : 0;
  if (expected.empty()) return kUnknown;  // every answer has it
  return (" " + written + " ").find(" " + expected + " ") != std::string::npos ? 1 : 0;
}

std::vector<double> Match::score(std::span<const WrittenAnswer> answers) {
  std::vector<double> scores;
  for (const auto& answer : answers) scores.push_back(of(answer));
  return scores;
}

}  // namespace antiphon::match

ANTIPHON_PLUGIN(match, "0.1.0") {
  using namespace antiphon::match;
  antiphon::register_component<antiphon::Reward, Match>(
      registrar, "match", "1 if an answer is the expected one, or has it, or fits a pattern", match_table());
}
