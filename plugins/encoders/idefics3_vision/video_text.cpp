#include "video_text.h"

#include <array>
#include <cmath>

#include <fmt/format.h>

namespace antiphon::idefics3_vision {
namespace {

constexpr std::array small = {"zero",     "one",     "two",     "three",     "four",     "five",    "six",
                              "seven",    "eight",   "nine",    "ten",       "eleven",   "twelve",  "thirteen",
                              "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"};
constexpr std::array tens = {"", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"};

std::string below_hundred(size_t number) {
  if (number < 20) return small.at(number);
  return number % 10 == 0 ? tens.at(number / 10) : fmt::format("{}-{}", tens.at(number / 10), small.at(number % 10));
}

std::string below_thousand(size_t number) {
  if (number < 100) return below_hundred(number);
  const auto hundreds = fmt::format("{} hundred", small.at(number / 100));
  return number % 100 == 0 ? hundreds : fmt::format("{} and {}", hundreds, below_hundred(number % 100));
}

// As Python's timedelta shows it.
std::string clock(int64_t seconds) {
  const int64_t days = seconds / 86400, hours = seconds / 3600 % 24;
  const auto time = fmt::format("{}:{:02}:{:02}", hours, seconds / 60 % 60, seconds % 60);
  return days == 0 ? time : fmt::format("{} day{}, {}", days, days == 1 ? "" : "s", time);
}

}  // namespace

std::string in_words(int64_t number) {
  const auto whole = static_cast<size_t>(number), rest = whole % 1000;
  if (whole < 1000) return below_thousand(whole);
  const auto thousands = fmt::format("{} thousand", below_thousand(whole / 1000));
  if (rest == 0) return thousands;
  return fmt::format("{}{}{}", thousands, rest < 100 ? " and " : ", ", below_thousand(rest));
}

std::string video_begin(size_t frames, double seconds) {
  return fmt::format("You are provided the following series of {} frames from a {} [H:MM:SS] video.\n",
                     in_words(static_cast<int64_t>(frames)), clock(static_cast<int64_t>(seconds)));
}

std::string frame_text(double seconds) {
  const auto minutes = static_cast<int64_t>(std::floor(seconds / 60));
  return fmt::format("\nFrame from {:02}:{:02}:", minutes, static_cast<int64_t>(std::fmod(seconds, 60)));
}

std::string video_end() { return "\n\n"; }

}  // namespace antiphon::idefics3_vision
