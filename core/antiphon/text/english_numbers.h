// Numbers in words as digits: "twenty five dollars" -> "$25". For english.cpp; source there (EnglishNumberNormalizer).
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace antiphon::text {

// Lower case, well-formed UTF-8, of symbols only . % $ ¢ € £.
std::string numbers_as_digits(std::string_view text);

// Python's str.split() for well-formed UTF-8.
std::vector<std::string> python_words(std::string_view text);

// A number of any size: an integer, or digits as they were put together, such as "1.5" or "007".
struct WrittenNumber {
  std::string digits;
  bool is_text = false;

  // Integers: canonical decimal digits. Whether the last `n` digits are 0.
  bool ends_in_zeros(size_t n) const;
  // value + small, where the last digits of value, as many as `small` has, are 0.
  void put_in(int small);
  // Times 10^power: of text, if it is a number that becomes whole, nullopt otherwise; of an integer only its last three
  // digits: 2 003 thousand is 2 000 + 3 000.
  std::optional<WrittenNumber> times(int power) const;
};

}  // namespace antiphon::text
