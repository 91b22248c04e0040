// Python's methods of str.
#include <algorithm>
#include <map>

#include <fmt/format.h>

#include <antiphon/text/jinja/bound.h>
#include <antiphon/text/jinja/format.h>
#include <antiphon/text/jinja/run.h>
#include <antiphon/text/jinja/words.h>
#include <antiphon/text/unicode.h>

namespace antiphon::text::jinja {
namespace {

using Given = const Arguments&;
constexpr size_t nowhere = std::string_view::npos;

Value as_text(Run& run, std::string_view part, const Value& self) {
  return text_value(run.heap(), part, self.text().safe);
}

template <std::string (*change)(std::string_view)>
Value changed(Run& run, const Value& self, Given given) {
  const Bound none(run.heap(), "str method", given, {});
  run.heap().charge(4 * self.bytes().size());
  run.heap().work(16 * self.bytes().size());
  return run.text(change(self.bytes()), self.text().safe);
}

template <bool left, bool right>
Value stripped(Run& run, const Value& self, Given given) {
  const Bound bound(run.heap(), "strip", given, {"chars"});
  const auto characters = bound.has(0) ? std::optional(bound.text(0, {})) : std::nullopt;
  return as_text(run, strip(run.heap(), self.bytes(), characters, left, right), self);
}

Value text_list(Run& run, const std::vector<std::string_view>& pieces, const Value& self,
                Sequence::Type type = Sequence::Type::list) {
  const auto values = run.heap().array<Value>(pieces.size());
  std::transform(pieces.begin(), pieces.end(), values.begin(), [&](auto piece) { return as_text(run, piece, self); });
  return sequence_value(run.heap(), values, type);
}

template <bool from_right>
Value split(Run& run, const Value& self, Given given) {
  const Bound bound(run.heap(), "split", given, {"sep", "maxsplit"});
  const int64_t limit = bound.whole(1, -1);
  if (!bound.has(0)) return text_list(run, split_space(run.heap(), self.bytes(), limit, from_right), self);
  if (bound.text(0, {}).empty()) fail_template("empty separator");
  return text_list(run, split_at(run.heap(), self.bytes(), bound.text(0, {}), limit, from_right), self);
}

Value splitlines(Run& run, const Value& self, Given given) {
  const Bound bound(run.heap(), "splitlines", given, {"keepends"});
  return text_list(run, split_lines(run.heap(), self.bytes(), bound.flag(0, false)), self);
}

template <bool from_right>
Value partition(Run& run, const Value& self, Given given) {
  const Bound bound(run.heap(), "partition", given, {"sep"}, 1);
  const auto separator = bound.text(0, {}), text = self.bytes();
  if (separator.empty()) fail_template("empty separator");
  const size_t at = from_right ? find_last_bytes(run.heap(), text, separator) : find_bytes(run.heap(), text, separator);
  std::vector<std::string_view> parts;
  if (at == nowhere)
    parts = from_right ? std::vector<std::string_view>{"", "", text} : std::vector<std::string_view>{text, "", ""};
  else
    parts = {text.substr(0, at), separator, text.substr(at + separator.size())};
  return text_list(run, parts, self, Sequence::Type::tuple);
}

// The part of `self` between the characters given as arguments 1 and 2, and where it begins.
struct Window {
  std::string_view text;
  size_t begin = 0;
  bool possible = true;
};
Window window(Run& run, const Value& self, const Bound& bound) {
  if (!bound.has(1) && !bound.has(2)) return {self.bytes()};
  const auto size = length(run.heap(), self);
  const auto place = [&](size_t i, int64_t otherwise) {
    const int64_t at = bound.has(i) ? bound.whole(i, 0) : otherwise;
    return at < 0 ? std::max<int64_t>(at + size, 0) : at;
  };
  const int64_t from = place(1, 0), to = std::min(place(2, size), size);
  if (from > size || to < from) return {{}, static_cast<size_t>(from), from <= to};
  const size_t begin = byte_of(run.heap(), self.bytes(), static_cast<size_t>(from));
  const size_t end = byte_of(run.heap(), self.bytes(), static_cast<size_t>(to));
  return {self.bytes().substr(begin, end - begin), static_cast<size_t>(from)};
}

int64_t find_in(Run& run, const Value& self, Given given, bool from_right, std::string_view name) {
  const Bound bound(run.heap(), name, given, {"sub", "start", "end"}, 1);
  const auto part = window(run, self, bound);
  const auto what = bound.text(0, {});
  const size_t at = from_right ? find_last_bytes(run.heap(), part.text, what) : find_bytes(run.heap(), part.text, what);
  if (at == nowhere || !part.possible) return -1;
  return static_cast<int64_t>(part.begin + count_characters(run.heap(), part.text.substr(0, at)));
}

template <bool from_right>
Value find(Run& run, const Value& self, Given given) {
  return Value(find_in(run, self, given, from_right, "find"));
}
template <bool from_right>
Value index(Run& run, const Value& self, Given given) {
  const auto at = find_in(run, self, given, from_right, "index");
  if (at < 0) fail_template("substring not found");
  return Value(at);
}

Value count(Run& run, const Value& self, Given given) {
  const Bound bound(run.heap(), "count", given, {"sub", "start", "end"}, 1);
  const auto part = window(run, self, bound);
  const auto what = bound.text(0, {});
  if (!part.possible) return Value(int64_t{0});
  if (what.empty()) return Value(static_cast<int64_t>(count_characters(run.heap(), part.text)) + 1);
  int64_t found = 0;
  for (auto rest = part.text; (rest.size() >= what.size()); ++found) {
    const size_t at = find_bytes(run.heap(), rest, what);
    if (at == nowhere) break;
    run.heap().step();
    rest.remove_prefix(at + what.size());
  }
  return Value(found);
}

template <bool at_end>
Value borders(Run& run, const Value& self, Given given) {
  const Bound bound(run.heap(), at_end ? "endswith" : "startswith", given, {"prefix", "start", "end"}, 1);
  const auto part = window(run, self, bound);
  const auto fits = [&](const Value& value) {
    if (!value.is(Kind::text))
      fail_template(fmt::format("a prefix must be str or a tuple of str, not {}", type_name(value)));
    run.heap().step();
    return part.possible && (at_end ? part.text.ends_with(value.bytes()) : part.text.starts_with(value.bytes()));
  };
  const auto& what = *bound.at(0);
  if (!what.is(Kind::sequence) || what.sequence().type != Sequence::Type::tuple) return Value(fits(what));
  const auto& all = what.sequence().values;
  return Value(std::any_of(all.begin(), all.end(), fits));
}

template <bool at_end>
Value without(Run& run, const Value& self, Given given) {
  const Bound bound(run.heap(), at_end ? "removesuffix" : "removeprefix", given, {"prefix"}, 1);
  const auto what = bound.text(0, {}), text = self.bytes();
  const bool there = at_end ? text.ends_with(what) : text.starts_with(what);
  return as_text(run,
                 !there   ? text
                 : at_end ? text.substr(0, text.size() - what.size())
                          : text.substr(what.size()),
                 self);
}

Value replace(Run& run, const Value& self, Given given) {
  const Bound bound(run.heap(), "replace", given, {"old", "new", "count"}, 2);
  return run.text(replaced(run.heap(), self.bytes(), bound.text(0, {}), bound.text(1, {}), bound.whole(2, -1)),
                  self.text().safe);
}

Value join(Run& run, const Value& self, Given given) {
  const Bound bound(run.heap(), "join", given, {"iterable"}, 1);
  const auto& all = items(run.heap(), *bound.at(0));
  auto text = text_value(run.heap(), {}, self.text().safe);
  for (size_t i = 0; i < all.size(); ++i) {
    if (!all.at(i).is(Kind::text))
      fail_template(fmt::format("sequence item {}: expected str instance, {} found", i, type_name(all.at(i))));
    if (i > 0) text = joined_text(run.heap(), text, self.bytes());
    text = joined_text(run.heap(), text, all.at(i).bytes());
  }
  return text;
}

template <char side>
Value justified(Run& run, const Value& self, Given given) {
  const Bound bound(run.heap(), "ljust", given, {"width", "fillchar"}, 1);
  const auto fill = bound.text(1, " ");
  if (count_characters(run.heap(), fill) != 1) fail_template("The fill character must be exactly one character long");
  return run.text(padded(run.heap(), self.bytes(), bound.whole(0, 0), fill, side), self.text().safe);
}

Value zfill(Run& run, const Value& self, Given given) {
  const Bound bound(run.heap(), "zfill", given, {"width"}, 1);
  const auto text = self.bytes();
  const bool sign = text.starts_with('-') || text.starts_with('+');
  const auto digits = padded(run.heap(), text.substr(sign), bound.whole(0, 0) - sign, "0", '>');
  return run.text(std::string(text.substr(0, sign)) + digits, self.text().safe);
}

template <bool (*holds)(std::string_view)>
Value asked(Run& run, const Value& self, Given given) {
  const Bound none(run.heap(), "str method", given, {});
  run.heap().work(4 * self.bytes().size());
  return Value(holds(self.bytes()));
}
template <Class kind>
bool all_are(std::string_view text) {
  return all_of(text, kind);
}

Value format(Run& run, const Value& self, Given given) { return brace_format(run, self, given); }

const std::map<std::string_view, Native>& methods() {
  static const std::map<std::string_view, Native> all = {{"strip", stripped<true, true>},
                                                         {"lstrip", stripped<true, false>},
                                                         {"rstrip", stripped<false, true>},
                                                         {"upper", changed<upper>},
                                                         {"lower", changed<lower>},
                                                         {"title", changed<title>},
                                                         {"capitalize", changed<capitalize>},
                                                         {"swapcase", changed<swapcase>},
                                                         {"casefold", changed<casefold>},
                                                         {"split", split<false>},
                                                         {"rsplit", split<true>},
                                                         {"splitlines", splitlines},
                                                         {"partition", partition<false>},
                                                         {"rpartition", partition<true>},
                                                         {"find", find<false>},
                                                         {"rfind", find<true>},
                                                         {"index", index<false>},
                                                         {"rindex", index<true>},
                                                         {"count", count},
                                                         {"startswith", borders<false>},
                                                         {"endswith", borders<true>},
                                                         {"removeprefix", without<false>},
                                                         {"removesuffix", without<true>},
                                                         {"replace", replace},
                                                         {"join", join},
                                                         {"center", justified<'^'>},
                                                         {"ljust", justified<'<'>},
                                                         {"rjust", justified<'>'>},
                                                         {"zfill", zfill},
                                                         {"isupper", asked<is_upper>},
                                                         {"islower", asked<is_lower>},
                                                         {"istitle", asked<is_title>},
                                                         {"isalpha", asked<all_are<Class::alpha>>},
                                                         {"isalnum", asked<all_are<Class::alnum>>},
                                                         {"isdecimal", asked<all_are<Class::decimal>>},
                                                         {"isdigit", asked<all_are<Class::digit>>},
                                                         {"isnumeric", asked<all_are<Class::numeric>>},
                                                         {"isspace", asked<all_are<Class::space>>},
                                                         {"isascii", asked<is_ascii>},
                                                         {"format", format}};
  return all;
}

}  // namespace

Native text_method(std::string_view name) {
  const auto found = methods().find(name);
  return found == methods().end() ? nullptr : found->second;
}

}  // namespace antiphon::text::jinja
