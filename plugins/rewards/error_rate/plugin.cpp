#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>
#include <antiphon/text/answer_scores.h>
#include <antiphon/text/score_text.h>

#include <algorithm>
#include <limits>

#include "error_rate.h"

namespace antiphon::error_rate {
namespace {

const config::Table<ErrorRateOptions>& error_rate_table() {
  using O = ErrorRateOptions;
  static const auto* table =
      new config::Table<O>(config::Table<O>("error_rate")
                               .field("unit", &O::unit, "what is counted, without case and punctuation",
                                      {.choices = {"word", "character"}}));
  return *table;
}

}  // namespace

std::vector<double> ErrorRate::score(std::span<const WrittenAnswer> answers) {
  std::vector<double> scores;
  for (const auto& answer : answers) {
    const auto written = text::without_punctuation(answer.text), expected = text::without_punctuation(answer.expected);
    const auto [errors, length] =
        words_ ? text::word_errors(written, expected) : text::character_errors(written, expected);
    scores.push_back(length == 0 ? std::numeric_limits<double>::quiet_NaN()
                                 : 1 - std::min(1.0, static_cast<double>(errors) / static_cast<double>(length)));
  }
  return scores;
}

}  // namespace antiphon::error_rate

ANTIPHON_PLUGIN(error_rate, "0.1.0") {
  using namespace antiphon::error_rate;
  antiphon::register_component<antiphon::Reward, ErrorRate>(
      registrar, "error_rate", "1 less the rate of wrong words or characters", error_rate_table());
}
