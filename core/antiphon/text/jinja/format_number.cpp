// One value in a field of a format.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <antiphon/text/jinja/format.h>
#include <antiphon/text/jinja/number.h>
#include <antiphon/text/jinja/words.h>

namespace antiphon::text::jinja {
namespace {

constexpr int64_t max_precision = 1000;

[[noreturn]] void fail_type(char type, const Value& value) {
  fail_template(fmt::format("Unknown format code '{}' for object of type '{}'", type, type_name(value)));
}

std::string in_base(uint64_t number, unsigned base, bool capital) {
  std::string digits;
  do {
    const auto digit = static_cast<unsigned>(number % base);
    digits += static_cast<char>(digit < 10 ? '0' + digit : (capital ? 'A' : 'a') + digit - 10);
  } while ((number /= base) > 0);
  return {digits.rbegin(), digits.rend()};
}

void group(std::string& number, char separator, size_t every) {
  const size_t end = std::min(number.find_first_of(".e"), number.size());
  for (size_t at = end; at > every; at -= every) number.insert(at - every, 1, separator);
}

// Without its sign.
std::string whole_digits(const Value& value, const Spec& spec, std::string& prefix) {
  const auto number = value.integer();
  const uint64_t size = number < 0 ? 0 - static_cast<uint64_t>(number) : static_cast<uint64_t>(number);
  const char type = spec.type ? spec.type : 'd';
  const unsigned base = type == 'd' ? 10 : type == 'x' || type == 'X' ? 16 : type == 'o' ? 8 : 2;
  if (spec.alternate && base != 10) prefix = {'0', type};
  auto digits = in_base(size, base, type == 'X');
  if (spec.group) group(digits, spec.group, base == 10 ? 3 : 4);
  return digits;
}

std::string real_digits(double value, const Spec& spec) {
  const double size = std::abs(value);
  const int precision = static_cast<int>(spec.precision < 0 ? 6 : spec.precision);
  std::string digits;
  switch (std::tolower(spec.type)) {
    case 0: digits = repr_real(size); break;
    case 'e': digits = fmt::format("{:.{}e}", size, precision); break;
    case 'g':
      digits = spec.alternate ? fmt::format("{:#.{}g}", size, std::max(precision, 1))
                              : fmt::format("{:.{}g}", size, std::max(precision, 1));
      break;
    case '%': digits = fmt::format("{:.{}f}%", size * 100, precision); break;
    default: digits = fmt::format("{:.{}f}", size, precision);
  }
  if (std::isupper(static_cast<unsigned char>(spec.type)))
    std::transform(digits.begin(), digits.end(), digits.begin(),
                   [](char c) { return static_cast<char>(std::toupper(c)); });
  if (spec.group && std::isfinite(value)) group(digits, spec.group, 3);
  return digits;
}

bool real_type(char type) { return type != 0 && std::string_view("eEfFgG%").find(type) != std::string_view::npos; }

}  // namespace

std::string padded(Heap& heap, std::string_view text, int64_t width, std::string_view fill, char side) {
  const auto size = static_cast<int64_t>(count_characters(heap, text));
  if (width <= size) return std::string(text);
  const int64_t missing = width - size;
  if (missing > static_cast<int64_t>(heap.limits().bytes)) heap.charge(heap.limits().bytes + 1);
  heap.charge(static_cast<size_t>(missing) * fill.size());
  heap.work(static_cast<size_t>(missing) * fill.size());
  // str.center and the format sign ^ differ in where odd padding goes.
  const int64_t left = side == '<'   ? 0
                       : side == '>' ? missing
                       : side == '^' ? missing / 2 + (missing & width & 1)
                                     : missing / 2;
  std::string out;
  for (int64_t i = 0; i < left; ++i) out += fill;
  out += text;
  for (int64_t i = left; i < missing; ++i) out += fill;
  return out;
}

std::string format_number(Heap& heap, const Value& value, const Spec& spec) {
  if (spec.precision > max_precision) fail_limit(fmt::format("formats with more than {} digits", max_precision));
  const bool as_real = value.is(Kind::real) || real_type(spec.type);
  if (as_real && spec.type && !real_type(spec.type)) fail_type(spec.type, value);
  if (as_real && !spec.type && spec.precision >= 0)
    fail_template("a format with a precision needs a type, such as .2f");
  if (!as_real && spec.precision >= 0) fail_template("Precision not allowed in integer format specifier");
  std::string prefix;
  const auto digits = as_real ? real_digits(value.real(), spec) : whole_digits(value, spec, prefix);
  const bool minus = as_real ? std::signbit(value.real()) && !std::isnan(value.real()) : value.integer() < 0;
  const auto sign = (minus ? "-" : spec.sign == '-' ? "" : std::string(1, spec.sign)) + prefix;
  if (spec.align != '=')
    return padded(heap, sign + digits, spec.width, spec.fill, spec.align ? spec.align == '^' ? '~' : spec.align : '>');
  if (spec.group && spec.width > 0) fail_template("zeros before a number with separators are not available here");
  return sign + padded(heap, digits, spec.width - static_cast<int64_t>(sign.size()), spec.fill, '>');
}

std::string escaped(Heap& heap, std::string_view text) {
  std::string out;
  heap.work(text.size());
  heap.charge(2 * text.size());
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&#34;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
  return out;
}

}  // namespace antiphon::text::jinja
