// Filters over lists and dicts.
#include <algorithm>

#include <fmt/format.h>

#include <antiphon/text/jinja/bound.h>
#include <antiphon/text/jinja/filters.h>
#include <antiphon/text/jinja/words.h>

namespace antiphon::text::jinja {

Value without_case(Run& run, const Value& value) {
  return value.is(Kind::text) ? text_method("lower")(run, value, {}) : value;
}

namespace {

using Given = const Arguments&;
using Type = Sequence::Type;

Value generator(Run& run, std::span<Value> values) { return sequence_value(run.heap(), values, Type::generator); }

std::span<Value> copied(Run& run, const Sequence& from) {
  const auto values = run.heap().array<Value>(from.size());
  for (size_t i = 0; i < values.size(); ++i) values[i] = from.at(i);
  return values;
}

Value count(Run& run, const Value& input, Given given) {
  const Bound none(run.heap(), "length", given, {});
  return Value(length(run.heap(), input));
}

Value list(Run& run, const Value& input, Given given) {
  const Bound none(run.heap(), "list", given, {});
  return sequence_value(run.heap(), copied(run, items(run.heap(), input)));
}

Value first(Run& run, const Value& input, Given given) {
  const Bound none(run.heap(), "first", given, {});
  if (input.is(Kind::sequence) && input.sequence().type == Type::generator) {
    auto& rest = input.sequence();
    if (rest.next < rest.values.size()) return rest.values[rest.next++];
  } else if (const auto& all = items(run.heap(), input); all.size() > 0) {
    return all.at(0);
  }
  return undefined_hint(run.heap(), "No first item, sequence was empty.");
}

Value last(Run& run, const Value& input, Given given) {
  const Bound none(run.heap(), "last", given, {});
  if (input.is(Kind::sequence) && input.sequence().type == Type::generator)
    fail_template("'generator' object is not reversible");
  const auto& all = items(run.heap(), input);
  return all.size() > 0 ? all.at(all.size() - 1) : undefined_hint(run.heap(), "No last item, sequence was empty.");
}

Value join(Run& run, const Value& input, Given given) {
  auto& heap = run.heap();
  const Bound bound(heap, "join", given, {"d", "attribute"});
  const auto separator = bound.at(0) ? to_text(heap, *bound.at(0)) : std::string_view();
  const auto& all = items(heap, input);
  auto text = text_value(heap, {});
  for (size_t i = 0; i < all.size(); ++i) {
    if (i > 0) text = joined_text(heap, text, separator);
    text = joined_text(heap, text, to_text(heap, at_path(run, all.at(i), bound.value(1))));
  }
  return text;
}

Value reverse(Run& run, const Value& input, Given given) {
  const Bound none(run.heap(), "reverse", given, {});
  const auto values = copied(run, items(run.heap(), input));
  std::reverse(values.begin(), values.end());
  const bool was_generator = input.is(Kind::sequence) && input.sequence().type == Type::generator;
  if (!input.is(Kind::text)) return was_generator ? sequence_value(run.heap(), values) : generator(run, values);
  auto text = text_value(run.heap(), {}, input.text().safe);
  for (const auto& value : values) text = joined_text(run.heap(), text, value.bytes());
  return text;
}

Value items_of(Run& run, const Value& input, Given given) {
  const Bound none(run.heap(), "items", given, {});
  if (input.is(Kind::undefined)) return generator(run, {});
  if (!input.is(Kind::dict)) fail_template("Can only get item pairs from a mapping.");
  return generator(run, dict_method("items")(run, input, {}).sequence().values);
}

// Sorted by keys, which are computed once each.
struct Keyed {
  Value key, value;
};
std::span<Keyed> sorted(Run& run, std::span<Keyed> all, bool reverse) {
  auto& heap = run.heap();
  const auto less = [&](const Keyed& a, const Keyed& b) { return order(heap, a.key, b.key) == -1; };
  std::vector<Keyed> buffer(all.begin(), all.end());
  heap.charge(2 * all.size_bytes());
  // Equal ones keep their order, in reverse too.
  if (reverse) std::reverse(buffer.begin(), buffer.end());
  std::stable_sort(buffer.begin(), buffer.end(), less);
  if (reverse) std::reverse(buffer.begin(), buffer.end());
  std::copy(buffer.begin(), buffer.end(), all.begin());
  return all;
}

Value values_of(Run& run, std::span<const Keyed> all) {
  const auto values = run.heap().array<Value>(all.size());
  std::transform(all.begin(), all.end(), values.begin(), [](const Keyed& each) { return each.value; });
  return sequence_value(run.heap(), values);
}

Value dictsort(Run& run, const Value& input, Given given) {
  auto& heap = run.heap();
  const Bound bound(heap, "dictsort", given, {"case_sensitive", "by", "reverse"});
  const auto by = bound.text(1, "key");
  if (by != "key" && by != "value") fail_template("You can only sort by either \"key\" or \"value\"");
  if (input.is(Kind::undefined)) fail_undefined(heap, input);
  if (!input.is(Kind::dict)) fail_template(fmt::format("'{}' object has no attribute 'items'", type_name(input)));
  const auto& pairs = dict_method("items")(run, input, {}).sequence();
  const auto all = heap.array<Keyed>(pairs.size());
  for (size_t i = 0; i < all.size(); ++i) {
    const auto key = pairs.at(i).sequence().at(by == "value");
    all[i] = {bound.flag(0, false) ? key : without_case(run, key), pairs.at(i)};
  }
  return values_of(run, sorted(run, all, bound.flag(2, false)));
}

// "a,b" are several keys.
Value sort_key(Run& run, const Value& item, const Value& attribute, bool with_case) {
  auto& heap = run.heap();
  std::vector<Value> parts;
  const auto add = [&](const Value& path) {
    const auto key = at_path(run, item, path);
    parts.push_back(with_case ? key : without_case(run, key));
  };
  if (attribute.is(Kind::text)) {
    for (const auto path : split_at(heap, attribute.bytes(), ",", -1, false)) add(text_value(heap, path));
  } else {
    add(attribute);
  }
  const auto values = heap.array<Value>(parts.size());
  std::copy(parts.begin(), parts.end(), values.begin());
  return sequence_value(heap, values);
}

Value sort(Run& run, const Value& input, Given given) {
  const Bound bound(run.heap(), "sort", given, {"reverse", "case_sensitive", "attribute"});
  const auto& from = items(run.heap(), input);
  const auto all = run.heap().array<Keyed>(from.size());
  for (size_t i = 0; i < all.size(); ++i)
    all[i] = {sort_key(run, from.at(i), bound.value(2), bound.flag(1, false)), from.at(i)};
  return values_of(run, sorted(run, all, bound.flag(0, false)));
}

Value unique(Run& run, const Value& input, Given given) {
  const Bound bound(run.heap(), "unique", given, {"case_sensitive", "attribute"});
  const auto& from = items(run.heap(), input);
  const auto values = run.heap().array<Value>(from.size());
  size_t size = 0;
  DictBuilder seen(run.heap(), from.size());
  for (size_t i = 0; i < from.size(); ++i) {
    const auto found = at_path(run, from.at(i), bound.value(1));
    const auto key = bound.flag(0, false) ? found : without_case(run, found);
    const size_t before = seen.value().dict().size;
    seen.set(key, {});
    if (seen.value().dict().size > before) values[size++] = from.at(i);
  }
  return generator(run, values.first(size));
}

template <int sense>
Value extreme(Run& run, const Value& input, Given given) {
  const Bound bound(run.heap(), sense < 0 ? "min" : "max", given, {"case_sensitive", "attribute"});
  const auto& from = items(run.heap(), input);
  if (from.size() == 0) return undefined_hint(run.heap(), "No aggregated item, sequence was empty.");
  const auto key = [&](size_t i) {
    const auto found = at_path(run, from.at(i), bound.value(1));
    return bound.flag(0, false) ? found : without_case(run, found);
  };
  size_t best = 0;
  auto best_key = key(0);
  for (size_t i = 1; i < from.size(); ++i) {
    const auto other = key(i);
    if (order(run.heap(), other, best_key, sense < 0 ? "<" : ">") == sense) best = i, best_key = other;
  }
  return from.at(best);
}

Value groupby(Run& run, const Value& input, Given given) {
  auto& heap = run.heap();
  const Bound bound(heap, "groupby", given, {"attribute", "default", "case_sensitive"}, 1);
  const auto* otherwise = bound.has(1) ? bound.at(1) : nullptr;
  const auto& from = items(heap, input);
  const auto all = heap.array<Keyed>(from.size());
  for (size_t i = 0; i < all.size(); ++i) {
    const auto key = at_path(run, from.at(i), *bound.at(0), otherwise);
    all[i] = {bound.flag(2, false) ? key : without_case(run, key), from.at(i)};
  }
  sorted(run, all, false);
  std::vector<Value> groups;
  for (size_t begin = 0, end = 0; begin < all.size(); begin = end) {
    while (end < all.size() && equal(heap, all[end].key, all[begin].key)) ++end;
    const auto group = heap.array<Value>(2);
    group[0] = at_path(run, all[begin].value, *bound.at(0), otherwise);
    group[1] = values_of(run, all.subspan(begin, end - begin));
    groups.push_back(sequence_value(heap, group, Type::group));
  }
  const auto values = heap.array<Value>(groups.size());
  std::copy(groups.begin(), groups.end(), values.begin());
  return sequence_value(heap, values);
}

Value batch(Run& run, const Value& input, Given given) {
  auto& heap = run.heap();
  const Bound bound(heap, "batch", given, {"linecount", "fill_with"}, 1);
  const auto& from = items(heap, input);
  const int64_t wanted = bound.whole(0, 1);
  // Never full below 1, as in Jinja, which checks before it adds.
  const size_t size = wanted > 0 ? static_cast<size_t>(wanted) : std::max<size_t>(from.size(), 1);
  const auto rows = heap.array<Value>((from.size() + size - 1) / size);
  for (size_t row = 0; row < rows.size(); ++row) {
    const size_t begin = row * size, count = std::min(size, from.size() - begin);
    const auto values = heap.array<Value>(bound.has(1) && wanted > 0 ? size : count);
    for (size_t i = 0; i < values.size(); ++i) values[i] = i < count ? from.at(begin + i) : *bound.at(1);
    rows[row] = sequence_value(heap, values);
  }
  return generator(run, rows);
}

Value slice(Run& run, const Value& input, Given given) {
  auto& heap = run.heap();
  const Bound bound(heap, "slice", given, {"slices", "fill_with"}, 1);
  const auto& from = items(heap, input);
  if (bound.whole(0, 1) == 0) fail_template("division by zero (slices)");
  const auto slices = static_cast<size_t>(std::max<int64_t>(bound.whole(0, 1), 0));
  const auto rows = heap.array<Value>(slices);
  size_t begin = 0;
  for (size_t row = 0; row < slices; ++row) {
    const bool longer = row < from.size() % slices;
    const size_t count = from.size() / slices + longer;
    const auto values = heap.array<Value>(count + (bound.has(1) && !longer));
    for (size_t i = 0; i < values.size(); ++i) values[i] = i < count ? from.at(begin + i) : *bound.at(1);
    rows[row] = sequence_value(heap, values);
    begin += count;
  }
  return generator(run, rows);
}

}  // namespace

const Natives& list_filters() {
  static const Natives all = {{"length", count},      {"count", count},     {"list", list},       {"first", first},
                              {"last", last},         {"join", join},       {"reverse", reverse}, {"items", items_of},
                              {"dictsort", dictsort}, {"sort", sort},       {"unique", unique},   {"min", extreme<-1>},
                              {"max", extreme<1>},    {"groupby", groupby}, {"batch", batch},     {"slice", slice}};
  return all;
}

}  // namespace antiphon::text::jinja
