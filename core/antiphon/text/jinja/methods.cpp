// Methods of lists, tuples and dicts; the attributes of a loop; names of Python's methods that are not supported here.
#include <algorithm>

#include <fmt/format.h>

#include <antiphon/text/jinja/bound.h>
#include <antiphon/text/jinja/run.h>

namespace antiphon::text::jinja {
namespace {

using Type = Sequence::Type;

Value pairs_as(Run& run, const Dict& dict, Type type) {
  auto& heap = run.heap();
  const auto values = heap.array<Value>(dict.size);
  for (size_t i = 0; i < dict.size; ++i) {
    const auto& [key, value] = dict.pairs[i];
    if (type != Type::items) {
      values[i] = type == Type::keys ? key : value;
      continue;
    }
    const auto pair = heap.array<Value>(2);
    pair[0] = key, pair[1] = value;
    values[i] = sequence_value(heap, pair, Type::tuple);
  }
  return sequence_value(heap, values, type);
}

Value dict_items(Run& run, const Value& self, const Arguments& given) {
  const Bound none(run.heap(), "items", given, {});
  return pairs_as(run, self.dict(), Type::items);
}
Value dict_keys(Run& run, const Value& self, const Arguments& given) {
  const Bound none(run.heap(), "keys", given, {});
  return pairs_as(run, self.dict(), Type::keys);
}
Value dict_values(Run& run, const Value& self, const Arguments& given) {
  const Bound none(run.heap(), "values", given, {});
  return pairs_as(run, self.dict(), Type::values);
}
Value dict_get(Run& run, const Value& self, const Arguments& given) {
  const Bound bound(run.heap(), "get", given, {"key", "default"}, 1);
  const auto* value = find(run.heap(), self.dict(), *bound.at(0));
  return value ? *value : bound.value(1);
}
Value same_object(Run& run, const Value& self, const Arguments& given) {
  const Bound none(run.heap(), "copy", given, {});
  return self;  // it is immutable
}

Value list_count(Run& run, const Value& self, const Arguments& given) {
  const Bound bound(run.heap(), "count", given, {"value"}, 1);
  int64_t count = 0;
  for (size_t i = 0; i < self.sequence().size(); ++i) count += equal(run.heap(), self.sequence().at(i), *bound.at(0));
  return Value(count);
}
Value list_index(Run& run, const Value& self, const Arguments& given) {
  const Bound bound(run.heap(), "index", given, {"value"}, 1);
  for (size_t i = 0; i < self.sequence().size(); ++i)
    if (equal(run.heap(), self.sequence().at(i), *bound.at(0))) return Value(static_cast<int64_t>(i));
  fail_template(fmt::format("{} is not in list", repr(run.heap(), *bound.at(0))));
}

Value loop_cycle(Run&, const Value& self, const Arguments& given) {
  if (given.positional.empty()) fail_template("no items for cycling given");
  return given.positional[self.loop().index % given.positional.size()];
}
Value loop_changed(Run& run, const Value& self, const Arguments& given) {
  auto& loop = self.loop();
  const bool same =
      loop.changed_before &&
      std::equal(given.positional.begin(), given.positional.end(), loop.last_changed.begin(), loop.last_changed.end(),
                 [&](const Value& a, const Value& b) { return equal(run.heap(), a, b); });
  loop.changed_before = true, loop.last_changed = given.positional;
  return Value(!same);
}

bool among(std::initializer_list<std::string_view> names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

Native dict_method(std::string_view name) {
  if (name == "items") return dict_items;
  if (name == "keys") return dict_keys;
  if (name == "values") return dict_values;
  if (name == "get") return dict_get;
  return name == "copy" ? same_object : nullptr;
}

Native sequence_method(const Sequence& sequence, std::string_view name) {
  if (!sequence.indexed()) return nullptr;
  if (name == "count") return list_count;
  if (name == "index") return list_index;
  return name == "copy" && sequence.type == Type::list ? same_object : nullptr;
}

bool changes_its_object(const Value& object, std::string_view name) {
  if (object.is(Kind::dict)) return among({"clear", "pop", "popitem", "setdefault", "update"}, name);
  return object.is(Kind::sequence) && object.sequence().type == Type::list &&
         among({"append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort"}, name);
}

bool left_out(const Value& object, std::string_view name) {
  if (object.is(Kind::text))
    return among({"encode", "expandtabs", "format_map", "isidentifier", "isprintable", "maketrans", "translate",
                  "unescape", "striptags", "escape"},
                 name);
  if (object.is(Kind::integer) || object.is(Kind::real) || object.is(Kind::boolean))
    return among({"as_integer_ratio", "bit_count", "bit_length", "conjugate", "denominator", "from_bytes", "fromhex",
                  "hex", "imag", "is_integer", "numerator", "real", "to_bytes"},
                 name);
  return object.is(Kind::dict) && name == "fromkeys";
}

Value loop_attribute(Run& run, Loop& loop, std::string_view name) {
  auto& heap = run.heap();
  const auto index = static_cast<int64_t>(loop.index), size = static_cast<int64_t>(loop.items->size());
  if (name == "index") return Value(index + 1);
  if (name == "index0") return Value(index);
  if (name == "first") return Value(index == 0);
  if (name == "last") return Value(index + 1 == size);
  if (name == "length") return Value(size);
  if (name == "revindex") return Value(size - index);
  if (name == "revindex0") return Value(size - index - 1);
  if (name == "depth") return Value(loop.depth);
  if (name == "depth0") return Value(loop.depth - 1);
  if (name == "previtem")
    return index > 0 ? loop.items->at(loop.index - 1) : undefined_hint(heap, "there is no previous item");
  if (name == "nextitem")
    return index + 1 < size ? loop.items->at(loop.index + 1) : undefined_hint(heap, "there is no next item");
  const auto native = name == "cycle" ? loop_cycle : name == "changed" ? loop_changed : nullptr;
  if (!native) return undefined_name(heap, name);
  return Value(
      static_cast<const Function*>(heap.make(Function{name == "cycle" ? "cycle" : "changed", native, Value(&loop)})));
}

}  // namespace antiphon::text::jinja
