// Filters that apply tests, filters and attributes to each item of a list.
#include <fmt/format.h>

#include <antiphon/text/jinja/bound.h>
#include <antiphon/text/jinja/filters.h>

namespace antiphon::text::jinja {
namespace {

using Given = const Arguments&;

template <bool wanted, bool by_attribute>
Value chosen(Run& run, const Value& input, Given given) {
  auto& heap = run.heap();
  auto rest = given.positional;
  Value path;
  if (!truth(input)) return sequence_value(heap, {}, Sequence::Type::generator);
  const auto& from = items(heap, input);
  if (by_attribute) {
    if (rest.empty()) fail_template("Missing parameter for attribute name");
    path = rest[0], rest = rest.subspan(1);
  }
  const auto holds = [&](const Value& value) {
    if (rest.empty()) return truth(value);
    if (!rest[0].is(Kind::text)) fail_template("the name of a test must be str");
    return run.test(rest[0].bytes(), value, {rest.subspan(1), given.keywords});
  };
  const auto values = heap.array<Value>(from.size());
  size_t size = 0;
  for (size_t i = 0; i < from.size(); ++i) {
    heap.step();
    if (holds(at_path(run, from.at(i), path)) == wanted) values[size++] = from.at(i);
  }
  return sequence_value(heap, values.first(size), Sequence::Type::generator);
}

Value map_attribute(Run& run, const Sequence& from, Given given) {
  const Bound bound(run.heap(), "map", given, {"attribute", "default"}, 1);
  const auto values = run.heap().array<Value>(from.size());
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = at_path(run, from.at(i), *bound.at(0), bound.has(1) ? bound.at(1) : nullptr);
  return sequence_value(run.heap(), values, Sequence::Type::generator);
}

Value map(Run& run, const Value& input, Given given) {
  auto& heap = run.heap();
  if (!truth(input)) return sequence_value(heap, {}, Sequence::Type::generator);
  const auto& from = items(heap, input);
  for (const auto& keyword : given.keywords)
    if (given.positional.empty() && keyword.name == "attribute") return map_attribute(run, from, given);
  const auto values = heap.array<Value>(from.size());
  if (given.positional.empty() || !given.positional[0].is(Kind::text)) fail_template("map requires a filter argument");
  for (size_t i = 0; i < values.size(); ++i) {
    heap.step();
    values[i] = run.filter(given.positional[0].bytes(), from.at(i), {given.positional.subspan(1), given.keywords});
  }
  return sequence_value(heap, values, Sequence::Type::generator);
}

Value or_default(Run& run, const Value& input, Given given) {
  const Bound bound(run.heap(), "default", given, {"default_value", "boolean"});
  const bool absent = input.is(Kind::undefined) || (bound.flag(1, false) && !truth(input));
  return absent ? bound.value(0, text_value(run.heap(), {})) : input;
}

Value attr(Run& run, const Value& input, Given given) {
  const Bound bound(run.heap(), "attr", given, {"name"}, 1);
  const auto& name = *bound.at(0);
  if (!name.is(Kind::text)) fail_template("attr(): 'name' must be str");
  // For a dict, only its methods, not its items.
  if (input.is(Kind::dict) && !dict_method(name.bytes())) return undefined_of(run.heap(), input, name);
  return run.attribute(input, name);
}

}  // namespace

const Natives& choice_filters() {
  static const Natives all = {{"select", chosen<true, false>},
                              {"reject", chosen<false, false>},
                              {"selectattr", chosen<true, true>},
                              {"rejectattr", chosen<false, true>},
                              {"map", map},
                              {"default", or_default},
                              {"d", or_default},
                              {"attr", attr}};
  return all;
}

}  // namespace antiphon::text::jinja
