// Python's str() and repr().
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include <antiphon/text/jinja/object.h>
#include <antiphon/text/jinja/words.h>
#include <antiphon/text/unicode.h>

namespace antiphon::text::jinja {
namespace {

using Type = Sequence::Type;

class Printer {
 public:
  explicit Printer(Heap& heap) : heap_(heap) {}
  std::string take() { return std::move(out_); }

  void value(const Value& v, int depth = 0) {
    if (depth > heap_.limits().value_depth)
      fail_limit(fmt::format("nests too deep (values within values, more than {} levels)", heap_.limits().value_depth));
    switch (v.kind()) {
      case Kind::undefined: return put("Undefined");
      case Kind::none: return put("None");
      case Kind::boolean: return put(v.flag() ? "True" : "False");
      case Kind::integer: return put(fmt::format("{}", v.integer()));
      case Kind::real: return put(repr_real(v.real()));
      case Kind::text: return text(v);
      case Kind::sequence: return sequence(v.sequence(), depth);
      case Kind::dict: return dict(v.dict(), depth);
      case Kind::names: return names(v.names(), depth);
      case Kind::loop: return put(fmt::format("<LoopContext {}/{}>", v.loop().index + 1, v.loop().items->size()));
      case Kind::function: return function(v.function());
    }
  }

 private:
  void put(std::string_view text) {
    heap_.step();
    heap_.charge(text.size());
    out_ += text;
  }

  // Quotes as Python chooses them; unprintable characters as escapes.
  void text(const Value& v) {
    const auto bytes = v.bytes();
    heap_.work(2 * bytes.size());
    const bool twice = bytes.find('\'') != std::string_view::npos && bytes.find('"') == std::string_view::npos;
    const char quote = twice ? '"' : '\'';
    std::string quoted(1, quote);
    for (size_t at = 0; at < bytes.size();) {
      const auto [c, length] = code_point_at(bytes, at);
      escape(quoted, c, bytes.substr(at, length), quote);
      at += length;
    }
    put(v.text().safe ? "Markup(" + quoted + quote + ")" : quoted + quote);
  }

  static void escape(std::string& out, char32_t c, std::string_view letter, char quote) {
    if (c == static_cast<char32_t>(quote) || c == '\\') {
      (out += '\\') += letter;
    } else if (c == '\n' || c == '\r' || c == '\t') {
      out += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
    } else if (is_class(c, Class::printable) || is_mark(c)) {
      out += letter;
    } else {
      const auto code = static_cast<uint32_t>(c);
      out += c < 0x100     ? fmt::format("\\x{:02x}", code)
             : c < 0x10000 ? fmt::format("\\u{:04x}", code)
                           : fmt::format("\\U{:08x}", code);
    }
  }

  void sequence(const Sequence& s, int depth) {
    switch (s.type) {
      case Type::range: return range(s);
      case Type::generator:
        fail_template("a generator is printed, which shows an address in memory; put `| list` after it");
      case Type::keys: return elements("dict_keys([", s, "])", depth);
      case Type::values: return elements("dict_values([", s, "])", depth);
      case Type::items: return elements("dict_items([", s, "])", depth);
      case Type::list: return elements("[", s, "]", depth);
      case Type::tuple:
      case Type::group: return elements("(", s, s.size() == 1 ? ",)" : ")", depth);
    }
  }
  void range(const Sequence& s) {
    put(s.step == 1 ? fmt::format("range({}, {})", s.start, s.stop)
                    : fmt::format("range({}, {}, {})", s.start, s.stop, s.step));
  }
  void elements(std::string_view open, const Sequence& s, std::string_view close, int depth) {
    put(open);
    for (size_t i = 0; i < s.size(); ++i) {
      if (i > 0) put(", ");
      value(s.at(i), depth + 1);
    }
    put(close);
  }
  void dict(const Dict& d, int depth) {
    put("{");
    for (size_t i = 0; i < d.size; ++i) {
      if (i > 0) put(", ");
      value(d.pairs[i].key, depth + 1);
      put(": ");
      value(d.pairs[i].value, depth + 1);
    }
    put("}");
  }
  void names(const Namespace& n, int depth) {
    put("<Namespace {");
    for (size_t i = 0; i < n.size; ++i) {
      put(i > 0 ? ", '" : "'");
      put(n.entries[i].name);
      put("': ");
      value(n.entries[i].value, depth + 1);
    }
    put("}>");
  }
  void function(const Function& f) {
    if (!f.macro) fail_template(fmt::format("the function {} is printed; put () after it to call it", f.name));
    put(fmt::format("<Macro '{}'>", f.name));
  }

  Heap& heap_;
  std::string out_;
};

}  // namespace

std::string repr_real(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number > 0 ? "inf" : "-inf";
  char digits[40];
  const auto end = std::to_chars(digits, digits + sizeof digits, number, std::chars_format::scientific).ptr;
  const std::string_view all(digits, static_cast<size_t>(end - digits));
  const int exponent = std::stoi(std::string(all.substr(all.find('e') + 1)));
  if (exponent < -4 || exponent >= 16) return std::string(all);
  char plain[40];
  const auto stop = std::to_chars(plain, plain + sizeof plain, number, std::chars_format::fixed).ptr;
  std::string out(plain, stop);
  return out.find('.') == std::string::npos ? out + ".0" : out;
}

std::string repr(Heap& heap, const Value& value) {
  Printer printer(heap);
  printer.value(value);
  return printer.take();
}

std::string_view to_text(Heap& heap, const Value& value) {
  if (value.is(Kind::text)) return value.bytes();
  if (value.is(Kind::undefined)) return {};
  return heap.copy(repr(heap, value));
}

}  // namespace antiphon::text::jinja
