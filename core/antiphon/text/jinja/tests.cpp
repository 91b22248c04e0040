// Jinja's tests: what follows `is`.
#include <fmt/format.h>

#include <antiphon/text/jinja/bound.h>
#include <antiphon/text/jinja/filters.h>
#include <antiphon/text/jinja/words.h>

namespace antiphon::text::jinja {
namespace {

using Given = const Arguments&;

template <bool (*holds)(Run&, const Value&)>
Value plain(Run& run, const Value& value, Given given) {
  const Bound none(run.heap(), "test", given, {});
  return Value(holds(run, value));
}
template <Kind kind>
bool is_kind(Run&, const Value& value) {
  return value.is(kind);
}

bool is_true(Run&, const Value& value) { return value.is(Kind::boolean) && value.flag(); }
bool is_false(Run&, const Value& value) { return value.is(Kind::boolean) && !value.flag(); }
bool is_defined(Run&, const Value& value) { return !value.is(Kind::undefined); }
bool is_number(Run&, const Value& value) { return value.number(); }
bool is_iterable(Run&, const Value& value) { return iterable(value); }
bool is_callable(Run&, const Value& value) {
  return value.is(Kind::function) || value.is(Kind::undefined) || value.is(Kind::loop);
}
bool is_sequence(Run&, const Value& value) {
  if (value.is(Kind::sequence)) return value.sequence().indexed();
  return value.is(Kind::text) || value.is(Kind::dict) || value.is(Kind::undefined);
}
bool is_escaped(Run&, const Value& value) { return value.is(Kind::text) && value.text().safe; }
bool is_small(Run& run, const Value& value) { return is_lower(to_text(run.heap(), value)); }
bool is_capital(Run& run, const Value& value) { return is_upper(to_text(run.heap(), value)); }
bool names_filter(Run&, const Value& value) { return value.is(Kind::text) && Run::has_filter(value.bytes()); }
bool names_test(Run&, const Value& value) { return value.is(Kind::text) && Run::has_test(value.bytes()); }

bool rest_is(Run& run, const Value& value, const Value& by, int64_t wanted) {
  return equal(run.heap(), calculate(run, Operator::modulo, value, by), Value(wanted));
}
bool is_odd(Run& run, const Value& value) { return rest_is(run, value, Value(int64_t{2}), 1); }
bool is_even(Run& run, const Value& value) { return rest_is(run, value, Value(int64_t{2}), 0); }
Value divisible(Run& run, const Value& value, Given given) {
  const Bound bound(run.heap(), "divisibleby", given, {"num"}, 1);
  return Value(rest_is(run, value, *bound.at(0), 0));
}

Value same_as(Run& run, const Value& value, Given given) {
  const Bound bound(run.heap(), "sameas", given, {"other"}, 1);
  return Value(same(value, *bound.at(0)));
}
Value is_in(Run& run, const Value& value, Given given) {
  const Bound bound(run.heap(), "in", given, {"seq"}, 1);
  return Value(contains(run.heap(), *bound.at(0), value));
}

template <bool wanted>
Value equal_to(Run& run, const Value& value, Given given) {
  const Bound bound(run.heap(), "eq", given, {"other"}, 1);
  return Value(equal(run.heap(), value, *bound.at(0)) == wanted);
}
template <int sense, bool or_equal>
Value ordered(Run& run, const Value& value, Given given) {
  const Bound bound(run.heap(), "comparison", given, {"other"}, 1);
  const int found = order(run.heap(), value, *bound.at(0), sense < 0 ? "<" : ">");
  return Value(found == sense || (or_equal && found == 0));
}

const Natives& tests() {
  static const Natives all = {{"odd", plain<is_odd>},
                              {"even", plain<is_even>},
                              {"divisibleby", divisible},
                              {"defined", plain<is_defined>},
                              {"undefined", plain<is_kind<Kind::undefined>>},
                              {"filter", plain<names_filter>},
                              {"test", plain<names_test>},
                              {"none", plain<is_kind<Kind::none>>},
                              {"boolean", plain<is_kind<Kind::boolean>>},
                              {"false", plain<is_false>},
                              {"true", plain<is_true>},
                              {"integer", plain<is_kind<Kind::integer>>},
                              {"float", plain<is_kind<Kind::real>>},
                              {"lower", plain<is_small>},
                              {"upper", plain<is_capital>},
                              {"string", plain<is_kind<Kind::text>>},
                              {"mapping", plain<is_kind<Kind::dict>>},
                              {"number", plain<is_number>},
                              {"sequence", plain<is_sequence>},
                              {"iterable", plain<is_iterable>},
                              {"callable", plain<is_callable>},
                              {"sameas", same_as},
                              {"escaped", plain<is_escaped>},
                              {"in", is_in},
                              {"==", equal_to<true>},
                              {"eq", equal_to<true>},
                              {"equalto", equal_to<true>},
                              {"!=", equal_to<false>},
                              {"ne", equal_to<false>},
                              {">", ordered<1, false>},
                              {"gt", ordered<1, false>},
                              {"greaterthan", ordered<1, false>},
                              {"ge", ordered<1, true>},
                              {">=", ordered<1, true>},
                              {"<", ordered<-1, false>},
                              {"lt", ordered<-1, false>},
                              {"lessthan", ordered<-1, false>},
                              {"<=", ordered<-1, true>},
                              {"le", ordered<-1, true>}};
  return all;
}

}  // namespace

bool Run::has_test(std::string_view name) { return tests().contains(name); }

bool Run::test(std::string_view name, const Value& input, const Arguments& arguments) {
  const auto found = tests().find(name);
  if (found == tests().end()) fail_template(fmt::format("No test named '{}'.", name));
  return truth(found->second(*this, input, arguments));
}

}  // namespace antiphon::text::jinja
