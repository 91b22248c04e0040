#include <antiphon/text/jinja/format.h>

#include <charconv>

#include <fmt/format.h>

#include <antiphon/text/jinja/run.h>
#include <antiphon/text/jinja/words.h>
#include <antiphon/text/unicode.h>

namespace antiphon::text::jinja {
namespace {

constexpr size_t nowhere = std::string_view::npos;

int64_t number_of(std::string_view digits) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || number > INT32_MAX) fail_limit("has a format with a number that is too large");
  return number;
}

std::string_view leading_digits(std::string_view text) {
  return text.substr(0, std::min(text.find_first_not_of("0123456789"), text.size()));
}

std::string cut(Heap& heap, std::string_view text, int64_t precision) {
  return std::string(precision < 0 ? text : text.substr(0, byte_of(heap, text, static_cast<size_t>(precision))));
}

class Percent {
 public:
  Percent(Run& run, std::string_view format, const Value& values)
      : run_(run),
        rest_(format),
        values_(values),
        several_(values.is(Kind::sequence) && values.sequence().type == Sequence::Type::tuple) {}

  std::string all() {
    for (size_t at = rest_.find('%'); at != nowhere; at = rest_.find('%')) {
      put(rest_.substr(0, at));
      rest_.remove_prefix(at + 1);
      field();
    }
    put(rest_);
    const bool container = values_.is(Kind::dict) || (values_.is(Kind::sequence) && !several_);
    if (several_ ? taken_ < values_.sequence().size() : taken_ == 0 && !container && !named_)
      fail_template("not all arguments converted during string formatting");
    return std::move(out_);
  }

 private:
  void put(std::string_view text) {
    run_.heap().charge(text.size());
    run_.heap().work(text.size());
    out_ += text;
  }
  char take() {
    if (rest_.empty()) fail_template("incomplete format");
    const char c = rest_[0];
    rest_.remove_prefix(1);
    return c;
  }
  Value next() {
    if (!several_ && taken_++ == 0) return values_;
    if (!several_ || taken_ >= values_.sequence().size()) fail_template("not enough arguments for format string");
    return values_.sequence().at(taken_++);
  }
  int64_t number() {
    if (rest_.starts_with('*')) {
      rest_.remove_prefix(1);
      const auto value = next();
      if (!value.whole()) fail_template("* wants int");
      return value.integer();
    }
    const auto digits = leading_digits(rest_);
    rest_.remove_prefix(digits.size());
    return digits.empty() ? 0 : number_of(digits);
  }

  void field() {
    run_.heap().step();
    std::optional<Value> value;
    if (rest_.starts_with('(')) value = keyed();
    Spec spec;
    bool zero = false;
    for (; !rest_.empty() && std::string_view("#0- +").find(rest_[0]) != nowhere; rest_.remove_prefix(1)) {
      const char c = rest_[0];
      if (c == '#') spec.alternate = true;
      if (c == '0') zero = true;
      if (c == '-') spec.align = '<';
      if (c == '+' || (c == ' ' && spec.sign != '+')) spec.sign = c;
    }
    spec.width = number();
    if (spec.width < 0) spec.align = '<', spec.width = -spec.width;
    if (rest_.starts_with('.')) rest_.remove_prefix(1), spec.precision = std::max<int64_t>(number(), 0);
    while (!rest_.empty() && std::string_view("hlL").find(rest_[0]) != nowhere) rest_.remove_prefix(1);
    const char type = take();
    if (type == '%') return put("%");
    if (zero && spec.align != '<') spec.align = '=', spec.fill = "0";
    put(formatted(type, spec, value ? *value : next()));
  }

  Value keyed() {
    const size_t end = rest_.find(')');
    if (end == nowhere) fail_template("incomplete format key");
    if (!values_.is(Kind::dict)) fail_template("format requires a mapping");
    const auto key = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    const auto* found = find(run_.heap(), values_.dict(), key);
    if (!found) fail_template(fmt::format("'{}' is missing in the values of a format", key));
    named_ = true;
    return *found;
  }

  std::string formatted(char type, Spec spec, const Value& value) {
    auto& heap = run_.heap();
    if (type == 's' || type == 'r' || type == 'c') {
      const auto text = type == 'r'   ? repr(heap, value)
                        : type == 'c' ? character(value)
                                      : std::string(to_text(heap, value));
      return padded(heap, cut(heap, text, spec.precision), spec.width, " ", spec.align == '<' ? '<' : '>');
    }
    const bool whole = std::string_view("diuoxX").find(type) != nowhere;
    if (!whole && std::string_view("eEfFgG").find(type) == nowhere)
      fail_template(fmt::format("unsupported format character '{}'", type));
    if (!value.number())
      fail_template(fmt::format("%{} format: a real number is required, not {}", type, type_name(value)));
    if (value.is(Kind::real) && std::string_view("oxX").find(type) != nowhere)
      fail_template(fmt::format("%{} format: an integer is required, not float", type));
    spec.type = type == 'i' || type == 'u' ? 'd' : type;
    if (!whole) return format_number(heap, value, spec);
    if (spec.precision >= 0) fail_template("a precision of whole numbers is not available here");
    return format_number(heap, value.is(Kind::real) ? Value(whole_of(value.real())) : value, spec);
  }

  std::string character(const Value& value) {
    if (value.is(Kind::text) && count_characters(run_.heap(), value.bytes()) == 1) return std::string(value.bytes());
    std::string out;
    if (!value.whole() || value.integer() < 0 || value.integer() > 0x10FFFF || (value.integer() >> 11) == 0x1B)
      fail_template("%c requires int or char");
    append_utf8(out, static_cast<char32_t>(value.integer()));
    return out;
  }

  Run& run_;
  std::string_view rest_;
  const Value& values_;
  bool several_, named_ = false;
  size_t taken_ = 0;
  std::string out_;
};

Spec parse_spec(std::string_view text) {
  Spec spec;
  const size_t first = text.empty() ? 0 : code_point_at(text, 0).length;
  const auto aligns = [](std::string_view rest) {
    return !rest.empty() && std::string_view("<>=^").find(rest[0]) != nowhere;
  };
  if (first > 0 && aligns(text.substr(first))) {
    spec.fill = text.substr(0, first), spec.align = text[first];
    text.remove_prefix(first + 1);
  } else if (aligns(text)) {
    spec.align = text[0];
    text.remove_prefix(1);
  }
  const auto skip = [&](std::string_view any) {
    const bool there = !text.empty() && any.find(text[0]) != nowhere;
    const char c = there ? text[0] : 0;
    if (there) text.remove_prefix(1);
    return c;
  };
  if (const char sign = skip("+- ")) spec.sign = sign;
  spec.alternate = skip("#") != 0;
  if (skip("0") && !spec.align) spec.fill = "0", spec.align = '=';
  const auto width = leading_digits(text);
  if (!width.empty()) spec.width = number_of(width), text.remove_prefix(width.size());
  spec.group = skip(",_");
  if (skip(".")) {
    const auto digits = leading_digits(text);
    if (digits.empty()) fail_template("Format specifier missing precision");
    spec.precision = number_of(digits), text.remove_prefix(digits.size());
  }
  spec.type = skip("bcdeEfFgGnosxX%");
  if (!text.empty() || spec.type == 'c' || spec.type == 'n') fail_template("Invalid format specifier");
  return spec;
}

std::string in_field(Heap& heap, const Value& value, std::string_view words) {
  if (words.empty()) return std::string(to_text(heap, value));
  const auto spec = parse_spec(words);
  if (value.number() && spec.type != 's') return format_number(heap, value, spec);
  if (!value.is(Kind::text))
    fail_template(fmt::format("unsupported format string passed to {}.__format__", type_name(value)));
  if (spec.type && spec.type != 's')
    fail_template(fmt::format("Unknown format code '{}' for object of type 'str'", spec.type));
  const char side = spec.align == '>' ? '>' : spec.align == '^' ? '~' : '<';
  return padded(heap, cut(heap, value.bytes(), spec.precision), spec.width, spec.fill, side);
}

class Braces {
 public:
  Braces(Run& run, const Arguments& given) : run_(run), given_(given) {}

  std::string all(std::string_view text, int depth = 0) {
    if (depth > 1) fail_template("Max string recursion exceeded");
    std::string out;
    while (!text.empty()) {
      const size_t at = std::min(text.find_first_of("{}"), text.size());
      add(out, text.substr(0, at));
      text.remove_prefix(at);
      if (text.empty()) break;
      if (text.substr(0, 2) == "{{" || text.substr(0, 2) == "}}") {
        add(out, text.substr(0, 1));
        text.remove_prefix(2);
        continue;
      }
      if (text[0] == '}') fail_template("Single '}' encountered in format string");
      const size_t end = closing(text);
      add(out, field(text.substr(1, end - 1), depth));
      text.remove_prefix(end + 1);
    }
    return out;
  }

 private:
  void add(std::string& out, std::string_view text) {
    run_.heap().charge(text.size());
    run_.heap().work(text.size());
    out += text;
  }
  size_t closing(std::string_view text) const {
    int open = 0;
    run_.heap().work(text.size());
    for (size_t at = 0; at < text.size(); ++at) {
      open += text[at] == '{' ? 1 : text[at] == '}' ? -1 : 0;
      if (open == 0) return at;
    }
    fail_template("expected '}' before end of string");
  }

  std::string field(std::string_view words, int depth) {
    run_.heap().step();
    const size_t colon = words.find(':');
    auto place = words.substr(0, colon);
    char conversion = 0;
    if (const size_t mark = place.find('!'); mark != nowhere) {
      if (mark + 2 != place.size()) fail_template("expected ':' after conversion specifier");
      conversion = place[mark + 1], place = place.substr(0, mark);
    }
    auto value = found(place);
    const auto spec = colon == nowhere ? std::string() : all(words.substr(colon + 1), depth + 1);
    if (conversion == 'r') value = run_.text(repr(run_.heap(), value));
    if (conversion == 's') value = text_value(run_.heap(), to_text(run_.heap(), value));
    if (conversion != 0 && conversion != 'r' && conversion != 's') fail_template("Unknown conversion specifier");
    return in_field(run_.heap(), value, spec);
  }

  Value found(std::string_view place) {
    const size_t end = std::min(place.find_first_of(".["), place.size());
    auto value = first(place.substr(0, end));
    for (place = place.substr(end); !place.empty();) {
      const bool element = place[0] == '[';
      const size_t stop = element ? place.find(']') : std::min(place.find_first_of(".[", 1), place.size());
      if (stop == nowhere || stop == 1) fail_template("Empty attribute in format string");
      const auto name = place.substr(1, stop - 1);
      const bool digits = element && leading_digits(name).size() == name.size();
      const auto key = digits ? Value(number_of(name)) : run_.text(name);
      value = element ? run_.element(value, key) : run_.attribute(value, key);
      place = place.substr(stop + element);
    }
    return value;
  }

  Value first(std::string_view name) {
    const bool counted = leading_digits(name).size() == name.size();
    if (!counted) {
      for (const auto& keyword : given_.keywords)
        if (keyword.name == name) return keyword.value;
      fail_template(fmt::format("'{}' is missing in the values of a format", name));
    }
    const auto index = name.empty() ? next_++ : static_cast<size_t>(number_of(name));
    if (index >= given_.positional.size())
      fail_template(fmt::format("Replacement index {} out of range for positional args tuple", index));
    return given_.positional[index];
  }

  Run& run_;
  const Arguments& given_;
  size_t next_ = 0;
};

}  // namespace

Value percent_format(Run& run, const Value& text, const Value& values) {
  return run.text(Percent(run, text.bytes(), values).all(), text.text().safe);
}

Value brace_format(Run& run, const Value& text, const Arguments& given) {
  return run.text(Braces(run, given).all(text.bytes()), text.text().safe);
}

}  // namespace antiphon::text::jinja
