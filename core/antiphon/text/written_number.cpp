#include <antiphon/text/english_numbers.h>

#include <unicode/uchar.h>

#include <algorithm>

#include <antiphon/text/unicode.h>

namespace antiphon::text {
namespace {

std::string canonical(std::string digits) {
  digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size()));
  return digits.empty() ? "0" : digits;
}

std::string sum_of(std::string a, std::string b) {
  if (a.size() < b.size()) std::swap(a, b);
  b.insert(0, a.size() - b.size(), '0');
  int carry = 0;
  for (size_t i = a.size(); i-- > 0;) {
    const int digit = a[i] - '0' + b[i] - '0' + carry;
    a[i] = static_cast<char>('0' + digit % 10), carry = digit / 10;
  }
  return canonical(carry ? "1" + a : a);
}

// "12.5" -> "12", "5", with ASCII digits, as Python's Fraction reads a text; nullopt if it does not.
std::optional<std::pair<std::string, std::string>> decimal_parts(std::string_view text) {
  std::string parts[2];
  int part = 0;
  for (size_t i = 0; i < text.size();) {
    const auto [c, length] = code_point_at(text, i);
    i += length;
    const auto digit =
        u_charType(static_cast<UChar32>(c)) == U_DECIMAL_DIGIT_NUMBER ? u_charDigitValue(static_cast<UChar32>(c)) : -1;
    if (c == U'.' && part == 0)
      part = 1;
    else if (digit >= 0)
      parts[part] += static_cast<char>('0' + digit);
    else
      return std::nullopt;
  }
  if (parts[0].empty() && parts[1].empty()) return std::nullopt;
  return std::pair(parts[0], parts[1]);
}

}  // namespace

bool WrittenNumber::ends_in_zeros(size_t n) const {
  return std::ranges::all_of(std::string_view(digits).substr(digits.size() - std::min(n, digits.size())),
                             [](char c) { return c == '0'; });
}

void WrittenNumber::put_in(int small) { digits = sum_of(digits, std::to_string(small)); }

std::optional<WrittenNumber> WrittenNumber::times(int power) const {
  const auto zeros = static_cast<size_t>(power);
  if (!is_text) {
    const auto split = digits.size() - std::min<size_t>(3, digits.size());
    return WrittenNumber{
        sum_of(canonical(digits.substr(0, split) + "000"), digits.substr(split) + std::string(zeros, '0'))};
  }
  auto parts = decimal_parts(digits);
  if (!parts) return std::nullopt;
  auto& fraction = parts->second;
  fraction.erase(fraction.find_last_not_of('0') + 1);
  if (fraction.size() > zeros) return std::nullopt;
  return WrittenNumber{canonical(parts->first + fraction + std::string(zeros - fraction.size(), '0'))};
}

}  // namespace antiphon::text
