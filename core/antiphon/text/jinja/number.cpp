#include <antiphon/text/jinja/number.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include <antiphon/text/jinja/format.h>
#include <antiphon/text/jinja/run.h>
#include <antiphon/text/jinja/words.h>

namespace antiphon::text::jinja {
namespace {

constexpr int64_t least = INT64_MIN;

constexpr std::string_view signs[] = {"+", "-", "*", "/", "//", "%", "** or pow()"};

[[noreturn]] void fail_operands(Heap& heap, Operator op, const Value& left, const Value& right) {
  if (left.is(Kind::undefined)) fail_undefined(heap, left);
  if (right.is(Kind::undefined)) fail_undefined(heap, right);
  fail_template(fmt::format("unsupported operand type(s) for {}: '{}' and '{}'", signs[static_cast<size_t>(op)],
                            type_name(left), type_name(right)));
}

void ensure_fits(bool fits) {
  if (!fits) fail_template("a whole number passes 64 bits");
}

int64_t floor_quotient(int64_t a, int64_t b) {
  ensure_fits(b != -1 || a != least);
  const int64_t quotient = a / b;
  return quotient - (a % b != 0 && (a < 0) != (b < 0));
}

int64_t floor_remainder(int64_t a, int64_t b) {
  if (b == -1) return 0;
  const int64_t rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

double floor_remainder(double a, double b) {
  const double rest = std::fmod(a, b);
  if (rest == 0) return std::copysign(0.0, b);
  return (rest < 0) != (b < 0) ? rest + b : rest;
}

double floor_quotient(double a, double b) {
  const double rest = floor_remainder(a, b), quotient = (a - rest) / b, floored = std::floor(quotient);
  return quotient - floored > 0.5 ? floored + 1 : floored;
}

Value power(Heap& heap, const Value& left, const Value& right) {
  if (!left.whole() || !right.whole() || right.integer() < 0) {
    if (left.real() == 0 && right.real() < 0) fail_template("division by zero (0 to a negative power)");
    const double result = std::pow(left.real(), right.real());
    if (std::isnan(result) && !std::isnan(left.real()) && !std::isnan(right.real()))
      fail_template("a power that is a complex number");
    if (std::isinf(result) && std::isfinite(left.real()) && std::isfinite(right.real()))
      fail_template("a number is too large");
    return Value(result);
  }
  int64_t base = left.integer(), result = 1;
  bool overflow = false;
  for (int64_t exponent = right.integer(); exponent > 0 && !overflow; exponent >>= 1) {
    heap.step();
    if (exponent & 1) overflow = __builtin_mul_overflow(result, base, &result);
    if (base == 0 || base == 1) return Value(base);
    if (exponent > 1) overflow = overflow || __builtin_mul_overflow(base, base, &base);
  }
  ensure_fits(!overflow);
  return Value(result);
}

Value whole(Operator op, int64_t a, int64_t b) {
  int64_t result = 0;
  switch (op) {
    case Operator::add: ensure_fits(!__builtin_add_overflow(a, b, &result)); return Value(result);
    case Operator::subtract: ensure_fits(!__builtin_sub_overflow(a, b, &result)); return Value(result);
    case Operator::multiply: ensure_fits(!__builtin_mul_overflow(a, b, &result)); return Value(result);
    case Operator::divide: return Value(static_cast<double>(a) / static_cast<double>(b));
    case Operator::floor_divide: return Value(floor_quotient(a, b));
    default: return Value(floor_remainder(a, b));
  }
}

Value real(Operator op, double a, double b) {
  switch (op) {
    case Operator::add: return Value(a + b);
    case Operator::subtract: return Value(a - b);
    case Operator::multiply: return Value(a * b);
    case Operator::divide: return Value(a / b);
    case Operator::floor_divide: return Value(floor_quotient(a, b));
    default: return Value(floor_remainder(a, b));
  }
}

Value numbers(Heap& heap, Operator op, const Value& left, const Value& right) {
  if (op == Operator::power) return power(heap, left, right);
  if (op >= Operator::divide && right.real() == 0) fail_template("division by zero");
  return left.whole() && right.whole() ? whole(op, left.integer(), right.integer())
                                       : real(op, left.real(), right.real());
}

Value add(Heap& heap, const Value& left, const Value& right) {
  if (left.is(Kind::text) && right.is(Kind::text)) {
    if (left.text().safe == right.text().safe) return joined_text(heap, left, right.bytes());
    const auto a = left.text().safe ? std::string(left.bytes()) : escaped(heap, left.bytes());
    return new_text(heap, a + (right.text().safe ? std::string(right.bytes()) : escaped(heap, right.bytes())), true);
  }
  if (left.is(Kind::sequence) && right.is(Kind::sequence)) {
    const auto &a = left.sequence(), &b = right.sequence();
    if (a.type == b.type && a.type <= Sequence::Type::tuple) {
      const auto values = heap.array<Value>(a.size() + b.size());
      std::copy(a.values.begin(), a.values.end(), values.begin());
      std::copy(b.values.begin(), b.values.end(), values.begin() + static_cast<ptrdiff_t>(a.size()));
      return sequence_value(heap, values, a.type);
    }
  }
  fail_operands(heap, Operator::add, left, right);
}

size_t checked_size(Heap& heap, size_t size, int64_t times) {
  const auto count = static_cast<size_t>(std::max<int64_t>(times, 0));
  if (size > 0 && count > heap.limits().bytes / size) heap.charge(heap.limits().bytes + 1);
  return count;
}

Value repeated(Heap& heap, const Value& value, int64_t times) {
  if (value.is(Kind::text)) {
    std::string out;
    const auto bytes = value.bytes();
    const size_t count = checked_size(heap, bytes.size(), times);
    heap.charge(bytes.size() * count);
    heap.work(bytes.size() * count);
    if (!bytes.empty())
      for (size_t i = 0; i < count; ++i) out += bytes;
    return new_text(heap, out, value.text().safe);
  }
  const auto& from = value.sequence().values;
  const auto values = heap.array<Value>(from.size() * checked_size(heap, from.size_bytes(), times));
  for (size_t i = 0; i < values.size(); ++i) values[i] = from[i % from.size()];
  return sequence_value(heap, values, value.sequence().type);
}

bool repeats(const Value& value) {
  return value.is(Kind::text) || (value.is(Kind::sequence) && value.sequence().type <= Sequence::Type::tuple);
}

}  // namespace

Value calculate(Run& run, Operator op, const Value& left, const Value& right) {
  auto& heap = run.heap();
  if (left.number() && right.number()) return numbers(heap, op, left, right);
  if (op == Operator::add) return add(heap, left, right);
  if (op == Operator::multiply && right.whole() && repeats(left)) return repeated(heap, left, right.integer());
  if (op == Operator::multiply && left.whole() && repeats(right)) return repeated(heap, right, left.integer());
  if (op == Operator::modulo && left.is(Kind::text)) return percent_format(run, left, right);
  fail_operands(heap, op, left, right);
}

Value negative(Heap& heap, const Value& value) {
  if (value.whole()) return whole(Operator::subtract, 0, value.integer());
  if (value.is(Kind::real)) return Value(-value.real());
  if (value.is(Kind::undefined)) fail_undefined(heap, value);
  fail_template(fmt::format("bad operand type for unary -: '{}'", type_name(value)));
}

Value positive(Heap& heap, const Value& value) {
  if (value.whole()) return Value(value.integer());
  if (value.is(Kind::real)) return value;
  if (value.is(Kind::undefined)) fail_undefined(heap, value);
  fail_template(fmt::format("bad operand type for unary +: '{}'", type_name(value)));
}

int64_t whole_of(double number) {
  if (!std::isfinite(number)) fail_template("cannot convert float infinity or NaN to integer");
  ensure_fits(number < 0x1p63 && number >= -0x1p63);
  return static_cast<int64_t>(number);
}

// The decimal digits are exact, as in Python: goes through a string with that many.
Value rounded(const Value& number, int64_t precision) {
  if (number.whole()) {
    if (precision >= 0) return Value(number.integer());
    if (precision < -18) return Value(int64_t{0});
    int64_t unit = 1;
    for (int64_t i = precision; i < 0; ++i) unit *= 10;
    const int64_t below = floor_quotient(number.integer(), unit), rest = floor_remainder(number.integer(), unit);
    const bool up = rest > unit - rest || (rest == unit - rest && below % 2 != 0);
    return whole(Operator::multiply, below + up, unit);
  }
  const double value = number.real();
  if (!std::isfinite(value) || precision > 323) return number;
  if (precision < -308) return Value(std::copysign(0.0, value));
  if (precision >= 0) return Value(std::strtod(fmt::format("{:.{}f}", value, precision).c_str(), nullptr));
  const double unit = std::pow(10.0, static_cast<double>(-precision));
  return Value(std::nearbyint(value / unit) * unit);
}

std::optional<int64_t> parse_whole(std::string_view text, int64_t base) {
  const auto space = [](char c) { return python_space(static_cast<unsigned char>(c)); };
  while (!text.empty() && space(text.front())) text.remove_prefix(1);
  while (!text.empty() && space(text.back())) text.remove_suffix(1);
  const bool minus = text.starts_with('-');
  if (minus || text.starts_with('+')) text.remove_prefix(1);
  std::string digits;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '_' && i > 0 && i + 1 < text.size() && text[i - 1] != '_') continue;
    digits += text[i];
  }
  for (const auto& [letter, of] : {std::pair{'x', 16}, std::pair{'o', 8}, std::pair{'b', 2}}) {
    if (digits.size() < 3 || digits[0] != '0' || std::tolower(digits[1]) != letter || (base != of && base != 0))
      continue;
    digits.erase(0, 2), base = of;
    break;
  }
  if (base == 0) base = 10;
  if (base < 2 || base > 36 || digits.empty() || digits[0] == '-') return std::nullopt;
  int64_t value = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, static_cast<int>(base));
  if (end != digits.data() + digits.size()) return std::nullopt;
  ensure_fits(error == std::errc());
  return minus ? -value : value;
}

std::optional<double> parse_real(std::string_view text) {
  std::string trimmed;
  for (const char c : text)
    if (c != '_') trimmed += c;
  const auto space = [](char c) { return python_space(static_cast<unsigned char>(c)); };
  trimmed.erase(trimmed.begin(), std::find_if_not(trimmed.begin(), trimmed.end(), space));
  while (!trimmed.empty() && space(trimmed.back())) trimmed.pop_back();
  if (trimmed.empty() || trimmed.find_first_of("xXpP(") != std::string::npos) return std::nullopt;
  char* end = nullptr;
  const double value = std::strtod(trimmed.c_str(), &end);
  return end == trimmed.c_str() + trimmed.size() ? std::optional(value) : std::nullopt;
}

}  // namespace antiphon::text::jinja
