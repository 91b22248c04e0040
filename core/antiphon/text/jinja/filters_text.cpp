// Filters that produce text.
#include <algorithm>

#include <fmt/format.h>

#include <antiphon/text/jinja/bound.h>
#include <antiphon/text/jinja/filters.h>
#include <antiphon/text/jinja/format.h>
#include <antiphon/text/jinja/words.h>
#include <antiphon/text/unicode.h>

namespace antiphon::text::jinja {
namespace {

using Given = const Arguments&;

// Jinja's soft_str: anything as a string.
Value soft(Run& run, const Value& value) {
  return value.is(Kind::text) ? value : text_value(run.heap(), to_text(run.heap(), value));
}

// A method of str, applied to anything.
template <const char* name>
Value by_method(Run& run, const Value& input, Given given) {
  return text_method(name)(run, soft(run, input), given);
}
constexpr char upper_name[] = "upper", lower_name[] = "lower", capitalize_name[] = "capitalize", strip_name[] = "strip";

Value replace(Run& run, const Value& input, Given given) {
  const Bound bound(run.heap(), "replace", given, {"old", "new", "count"}, 2);
  const auto text = to_text(run.heap(), input), from = to_text(run.heap(), *bound.at(0)),
             to = to_text(run.heap(), *bound.at(1));
  return run.text(replaced(run.heap(), text, from, to, bound.has(2) ? bound.whole(2, -1) : -1));
}

bool begins_word(char32_t c) {
  return python_space(c) ||
         (c < 0x80 && std::string_view("-({[<").find(static_cast<char>(c)) != std::string_view::npos);
}

// Unlike str.title, capitals only after white space and - ( { [ <.
Value titled(Run& run, const Value& input, Given given) {
  const Bound none(run.heap(), "title", given, {});
  const auto text = to_text(run.heap(), input);
  run.heap().charge(4 * text.size());
  run.heap().work(16 * text.size());
  std::string out;
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    const bool border = begins_word(code_point_at(text, at).value);
    while (end < text.size() && begins_word(code_point_at(text, end).value) == border)
      end += code_point_at(text, end).length;
    const size_t first = code_point_at(text, at).length;
    const auto word = text.substr(at, end - at);
    out += border ? std::string(word) : upper(word.substr(0, first)) + lower(word.substr(first));
    at = end;
  }
  return run.text(out);
}

Value center(Run& run, const Value& input, Given given) {
  const Bound bound(run.heap(), "center", given, {"width"});
  const auto text = soft(run, input);
  return run.text(padded(run.heap(), text.bytes(), bound.whole(0, 80), " ", '^'), text.text().safe);
}

Value indent(Run& run, const Value& input, Given given) {
  auto& heap = run.heap();
  const Bound bound(heap, "indent", given, {"width", "first", "blank"});
  if (input.is(Kind::undefined)) fail_undefined(heap, input);
  if (!input.is(Kind::text))
    fail_template(fmt::format("unsupported operand type(s) for +=: '{}' and 'str'", type_name(input)));
  const auto blanks = bound.is_text(0) ? std::string(bound.text(0, {})) : padded(heap, {}, bound.whole(0, 4), " ", '<');
  // As in Jinja, which adds a line break before it splits into lines.
  auto lines = split_lines(heap, input.bytes(), false);
  if (input.bytes().empty() || split_lines(heap, input.bytes(), true).back() != lines.back()) {
    if (lines.empty() || input.bytes().back() != '\r') lines.push_back({});
  }
  std::string out;
  for (size_t i = 0; i < lines.size(); ++i) {
    const bool blanked = i == 0 ? bound.flag(1, false) : bound.flag(2, false) || !lines[i].empty();
    const size_t more = 1 + (blanked ? blanks.size() : 0) + lines[i].size();
    heap.charge(more);
    heap.work(more);
    if (i > 0) out += '\n';
    if (blanked) out += blanks;
    out += lines[i];
  }
  return run.text(out, input.text().safe);
}

Value truncate(Run& run, const Value& input, Given given) {
  auto& heap = run.heap();
  const Bound bound(heap, "truncate", given, {"length", "killwords", "end", "leeway"});
  if (!input.is(Kind::text)) fail_template(fmt::format("truncate wants str, not {}", type_name(input)));
  const auto end = bound.text(2, "...");
  const int64_t length = bound.whole(0, 255), leeway = bound.has(3) ? bound.whole(3, 5) : 5;
  const auto tail = static_cast<int64_t>(count_characters(heap, end));
  if (length < tail) fail_template(fmt::format("expected length >= {}, got {}", tail, length));
  if (leeway < 0) fail_template(fmt::format("expected leeway >= 0, got {}", leeway));
  const auto size = static_cast<int64_t>(count_characters(heap, input.bytes()));
  if (size - leeway <= length) return input;
  auto kept = input.bytes().substr(0, byte_of(heap, input.bytes(), static_cast<size_t>(length - tail)));
  if (!bound.flag(1, false)) kept = kept.substr(0, kept.rfind(' '));
  return run.text(std::string(kept) + std::string(end), input.text().safe);
}

Value format(Run& run, const Value& input, Given given) {
  auto& heap = run.heap();
  if (!given.positional.empty() && !given.keywords.empty())
    fail_template("can't handle positional and keyword arguments at the same time");
  if (given.keywords.empty()) {
    const auto values = heap.array<Value>(given.positional.size());
    std::copy(given.positional.begin(), given.positional.end(), values.begin());
    return percent_format(run, soft(run, input), sequence_value(heap, values, Sequence::Type::tuple));
  }
  DictBuilder dict(heap, given.keywords.size());
  for (const auto& [name, value] : given.keywords) dict.set(text_value(heap, name), value);
  return percent_format(run, soft(run, input), dict.value());
}

Value string(Run& run, const Value& input, Given given) {
  const Bound none(run.heap(), "string", given, {});
  return soft(run, input);
}
Value safe(Run& run, const Value& input, Given given) {
  const Bound none(run.heap(), "safe", given, {});
  return text_value(run.heap(), to_text(run.heap(), input), true);
}
Value escape(Run& run, const Value& input, Given given) {
  const Bound none(run.heap(), "escape", given, {});
  if (input.is(Kind::text) && input.text().safe) return input;
  return run.text(escaped(run.heap(), to_text(run.heap(), input)), true);
}
Value forceescape(Run& run, const Value& input, Given given) {
  const Bound none(run.heap(), "forceescape", given, {});
  return run.text(escaped(run.heap(), to_text(run.heap(), input)), true);
}

std::string quoted(Heap& heap, std::string_view text, bool query) {
  std::string out;
  heap.charge(3 * text.size());
  heap.work(3 * text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool plain =
        std::isalnum(static_cast<unsigned char>(c)) || std::string_view("_.-~").find(c) != std::string_view::npos;
    if (const auto mark = code_point_at(text, i); mark.length == 3 && is_mark(mark.value))
      out += text.substr(i, 3), i += 2;
    else if (plain || (c == '/' && !query))
      out += c;
    else if (c == ' ' && query)
      out += '+';
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

Value urlencode(Run& run, const Value& input, Given given) {
  auto& heap = run.heap();
  const Bound none(heap, "urlencode", given, {});
  if (input.is(Kind::text) || !iterable(input)) return run.text(quoted(heap, to_text(heap, input), false));
  const auto& pairs = items(heap, input.is(Kind::dict) ? dict_method("items")(run, input, {}) : input);
  std::string out;
  for (size_t i = 0; i < pairs.size(); ++i) {
    const auto& pair = items(heap, pairs.at(i));
    if (pair.size() != 2) fail_template("urlencode wants pairs");
    if (i > 0) out += '&';
    out += quoted(heap, to_text(heap, pair.at(0)), true) + '=' + quoted(heap, to_text(heap, pair.at(1)), true);
  }
  return run.text(out);
}

Value wordcount(Run& run, const Value& input, Given given) {
  const Bound none(run.heap(), "wordcount", given, {});
  const auto text = to_text(run.heap(), input);
  run.heap().work(4 * text.size());
  int64_t words = 0;
  bool within = false;
  for (size_t at = 0; at < text.size(); at += code_point_at(text, at).length) {
    const char32_t c = code_point_at(text, at).value;
    const bool letter = c == '_' || is_class(c, Class::alnum);
    words += letter && !within;
    within = letter;
  }
  return Value(words);
}

Value tojson(Run& run, const Value& input, Given given) {
  auto& heap = run.heap();
  const Bound bound(heap, "tojson", given, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style{bound.flag(0, false), bound.flag(3, false)};
  if (bound.has(1)) {
    style.indented = true, style.item_separator = ",";
    style.indent = bound.is_text(1) ? std::string(bound.text(1, {})) : padded(heap, {}, bound.whole(1, 0), " ", '<');
  }
  if (bound.has(2)) {
    const auto& pair = items(heap, *bound.at(2));
    if (pair.size() != 2 || !pair.at(0).is(Kind::text) || !pair.at(1).is(Kind::text))
      fail_template("tojson(): 'separators' must be two texts");
    style.item_separator = pair.at(0).bytes(), style.key_separator = pair.at(1).bytes();
  }
  return run.text(to_json(heap, input, style));
}

}  // namespace

const Natives& text_filters() {
  static const Natives all = {{"upper", by_method<upper_name>},
                              {"lower", by_method<lower_name>},
                              {"capitalize", by_method<capitalize_name>},
                              {"trim", by_method<strip_name>},
                              {"title", titled},
                              {"replace", replace},
                              {"center", center},
                              {"indent", indent},
                              {"truncate", truncate},
                              {"format", format},
                              {"string", string},
                              {"safe", safe},
                              {"e", escape},
                              {"escape", escape},
                              {"forceescape", forceescape},
                              {"urlencode", urlencode},
                              {"wordcount", wordcount},
                              {"tojson", tojson}};
  return all;
}

}  // namespace antiphon::text::jinja
