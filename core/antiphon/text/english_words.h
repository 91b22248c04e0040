// The words that english_numbers.cpp understands.
#pragma once
#include <string>
#include <string_view>

namespace antiphon::text {

enum class NumberWord {
  none,
  zero,
  one,         // one to nineteen
  one_ends,    // fifth, fives
  ten,         // twenty to ninety
  ten_ends,    // twentieth, twenties
  power,       // hundred, thousand, …; value: the exponent of ten
  power_ends,  // hundredth, hundreds
  sign,        // minus, plus, …, before a number
  unit,        // dollars, …, after it
  percent,
  per,
  special  // and, double, triple, point
};

struct NumberWordInfo {
  NumberWord kind = NumberWord::none;
  int value = 0;
  std::string written = {};  // the suffix, sign or unit
};

const NumberWordInfo& number_word(std::string_view word);

}  // namespace antiphon::text
