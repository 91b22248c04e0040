#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

#include <fmt/format.h>

#include <algorithm>

#include "length.h"

namespace antiphon::length {
namespace {

const config::Table<LengthOptions>& length_table() {
  using O = LengthOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("length")
          .field("max", &O::max,
                 "tokens, the one that ends the answer among them, from which on it is -1; as a rule "
                 "train.rollout.max_tokens",
                 {.required = true, .min = 1, .max = 1 << 24})
          .field("buffer", &O::buffer, "the last so many of them, over which it falls from 0 to -1",
                 {.required = true, .min = 1, .max = 1 << 24}));
  return *table;
}

}  // namespace

Length::Length(const LengthOptions& options) : o_(options) {
  if (o_.buffer > o_.max)
    fail(ErrorKind::config, fmt::format("buffer = {} is more than max = {}", o_.buffer, o_.max),
         "the buffer is the last part of max tokens");
}

std::vector<double> Length::score(std::span<const WrittenAnswer> answers) {
  std::vector<double> scores;
  for (const auto& answer : answers) {
    const auto left = static_cast<double>(o_.max - o_.buffer - answer.tokens);
    scores.push_back(answer.ended ? std::clamp(left / static_cast<double>(o_.buffer), -1.0, 0.0) : -1);
  }
  return scores;
}

}  // namespace antiphon::length

ANTIPHON_PLUGIN(length, "0.1.0") {
  using namespace antiphon::length;
  antiphon::register_component<antiphon::Reward, Length>(
      registrar, "length", "less than 0 for answers that are too long (DAPO's soft punishment)", length_table());
}
