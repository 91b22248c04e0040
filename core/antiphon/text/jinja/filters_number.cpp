#include <cmath>

#include <fmt/format.h>

#include <antiphon/text/jinja/bound.h>
#include <antiphon/text/jinja/filters.h>

namespace antiphon::text::jinja {
namespace {

using Given = const Arguments&;

Value absolute(Run& run, const Value& input, Given given) {
  const Bound none(run.heap(), "abs", given, {});
  if (input.is(Kind::undefined)) fail_undefined(run.heap(), input);
  if (!input.number()) fail_template(fmt::format("bad operand type for abs(): '{}'", type_name(input)));
  if (input.is(Kind::real)) return Value(std::abs(input.real()));
  return input.integer() < 0 ? negative(run.heap(), input) : Value(input.integer());
}

Value to_whole(Run& run, const Value& input, Given given) {
  const Bound bound(run.heap(), "int", given, {"default", "base"});
  const auto otherwise = bound.value(0, Value(int64_t{0}));
  if (input.is(Kind::undefined)) fail_undefined(run.heap(), input);
  if (input.whole()) return Value(input.integer());
  auto real = input.is(Kind::real) ? std::optional(input.real()) : std::nullopt;
  if (input.is(Kind::text)) {
    run.heap().work(4 * input.bytes().size());
    if (const auto whole = parse_whole(input.bytes(), bound.whole(1, 10))) return Value(*whole);
    real = parse_real(input.bytes());
  }
  if (!real || std::isnan(*real)) return otherwise;
  if (std::isinf(*real)) {
    if (input.is(Kind::real)) fail_template("cannot convert float infinity to integer");
    return otherwise;
  }
  return Value(whole_of(*real));
}

Value to_real(Run& run, const Value& input, Given given) {
  const Bound bound(run.heap(), "float", given, {"default"});
  if (input.is(Kind::undefined)) fail_undefined(run.heap(), input);
  if (input.number()) return Value(input.real());
  if (input.is(Kind::text)) {
    run.heap().work(4 * input.bytes().size());
    if (const auto real = parse_real(input.bytes())) return Value(*real);
  }
  return bound.value(0, Value(0.0));
}

Value round(Run& run, const Value& input, Given given) {
  const Bound bound(run.heap(), "round", given, {"precision", "method"});
  const auto method = bound.text(1, "common");
  if (method != "common" && method != "ceil" && method != "floor")
    fail_template("method must be common, ceil or floor");
  if (input.is(Kind::undefined)) fail_undefined(run.heap(), input);
  if (!input.number()) fail_template(fmt::format("type {} doesn't define __round__ method", type_name(input)));
  const int64_t precision = bound.whole(0, 0);
  if (method == "common") return rounded(input, precision);
  const double unit = std::pow(10.0, static_cast<double>(precision)), scaled = input.real() * unit;
  const auto whole = Value(whole_of(method == "ceil" ? std::ceil(scaled) : std::floor(scaled)));
  return calculate(run, Operator::divide, whole, precision < 0 ? Value(unit) : Value(whole_of(unit)));
}

Value sum(Run& run, const Value& input, Given given) {
  const Bound bound(run.heap(), "sum", given, {"attribute", "start"});
  auto total = bound.value(1, Value(int64_t{0}));
  if (total.is(Kind::text)) fail_template("sum() can't sum strings [use ''.join(seq) instead]");
  const auto& all = items(run.heap(), input);
  for (size_t i = 0; i < all.size(); ++i)
    total = calculate(run, Operator::add, total, at_path(run, all.at(i), bound.value(0)));
  return total;
}

}  // namespace

const Natives& number_filters() {
  static const Natives all = {{"abs", absolute}, {"int", to_whole}, {"float", to_real}, {"round", round}, {"sum", sum}};
  return all;
}

}  // namespace antiphon::text::jinja
