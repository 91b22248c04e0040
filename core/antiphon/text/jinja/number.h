// Arithmetic as Python does it, on 64-bit integers: a result that needs more is an error that says so.
#pragma once
#include <optional>

#include <antiphon/text/jinja/value.h>

namespace antiphon::text::jinja {

enum class Operator { add, subtract, multiply, divide, floor_divide, modulo, power };

class Run;
Value calculate(Run& run, Operator op, const Value& left, const Value& right);
Value negative(Heap& heap, const Value& value);
Value positive(Heap& heap, const Value& value);
Value rounded(const Value& number, int64_t precision);  // Python's round(number, precision)
int64_t whole_of(double number);                        // int(number)
// int(text, base), float(text); nullopt if the text is not a number.
std::optional<int64_t> parse_whole(std::string_view text, int64_t base);
std::optional<double> parse_real(std::string_view text);

}  // namespace antiphon::text::jinja
