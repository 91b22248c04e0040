// Python's json.dumps.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <antiphon/text/jinja/object.h>
#include <antiphon/text/jinja/words.h>
#include <antiphon/text/unicode.h>

namespace antiphon::text::jinja {
namespace {

class JsonWriter {
 public:
  JsonWriter(Heap& heap, const JsonStyle& style) : heap_(heap), style_(style) {}
  std::string take() { return std::move(out_); }

  void value(const Value& v, int depth) {
    if (depth > heap_.limits().value_depth)
      fail_limit(fmt::format("nests too deep (values within values, more than {} levels)", heap_.limits().value_depth));
    switch (v.kind()) {
      case Kind::none: return put("null");
      case Kind::boolean: return put(v.flag() ? "true" : "false");
      case Kind::integer: return put(fmt::format("{}", v.integer()));
      case Kind::real: return put(real(v.real()));
      case Kind::text: return text(v.bytes());
      case Kind::dict: return dict(v.dict(), depth);
      case Kind::sequence:
        if (const auto type = v.sequence().type; type <= Sequence::Type::tuple || type == Sequence::Type::group)
          return list(v.sequence(), depth);
        [[fallthrough]];
      default: fail_template(fmt::format("Object of type {} is not JSON serializable", type_name(v)));
    }
  }

 private:
  static std::string real(double number) {
    if (std::isnan(number)) return "NaN";
    if (std::isinf(number)) return number > 0 ? "Infinity" : "-Infinity";
    return repr_real(number);
  }

  void put(std::string_view text) {
    heap_.step();
    heap_.charge(text.size());
    out_ += text;
  }

  void text(std::string_view bytes) {
    heap_.work(4 * bytes.size());
    heap_.charge(bytes.size());
    out_ += '"';
    for (size_t at = 0; at < bytes.size();) {
      const auto [c, length] = code_point_at(bytes, at);
      character(c, bytes.substr(at, length));
      at += length;
    }
    out_ += '"';
  }

  void character(char32_t c, std::string_view letter) {
    switch (c) {
      case '"': out_ += "\\\""; return;
      case '\\': out_ += "\\\\"; return;
      case '\n': out_ += "\\n"; return;
      case '\r': out_ += "\\r"; return;
      case '\t': out_ += "\\t"; return;
      case '\f': out_ += "\\f"; return;
      case '\b': out_ += "\\b"; return;
      default: break;
    }
    if (c >= 0x20 && (c < 0x7F || !style_.ensure_ascii || is_mark(c))) {
      out_ += letter;
    } else if (c >= 0x10000) {
      out_ += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + ((static_cast<uint32_t>(c) - 0x10000) >> 10),
                          0xDC00 + ((static_cast<uint32_t>(c) - 0x10000) & 0x3FF));
    } else {
      out_ += fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
    }
  }

  void line(int depth) {
    if (!style_.indented) return;
    heap_.charge(style_.indent.size() * static_cast<size_t>(depth));
    put("\n");
    for (int i = 0; i < depth; ++i) out_ += style_.indent;
  }

  void list(const Sequence& s, int depth) {
    if (s.size() == 0) return put("[]");
    put("[");
    for (size_t i = 0; i < s.size(); ++i) {
      if (i > 0) put(style_.item_separator);
      line(depth + 1);
      value(s.at(i), depth + 1);
    }
    line(depth);
    put("]");
  }

  std::string key(const Value& v) const {
    switch (v.kind()) {
      case Kind::text: return std::string(v.bytes());
      case Kind::none: return "null";
      case Kind::boolean: return v.flag() ? "true" : "false";
      case Kind::integer: return fmt::format("{}", v.integer());
      case Kind::real: return real(v.real());
      default: fail_template(fmt::format("keys must be str, int, float, bool or None, not {}", type_name(v)));
    }
  }

  void dict(const Dict& d, int depth) {
    if (d.size == 0) return put("{}");
    auto pairs = heap_.array<Pair>(d.size);
    std::copy_n(d.pairs.begin(), d.size, pairs.begin());
    if (style_.sort_keys)
      std::stable_sort(pairs.begin(), pairs.end(),
                       [&](const Pair& a, const Pair& b) { return order(heap_, a.key, b.key) < 0; });
    put("{");
    for (size_t i = 0; i < pairs.size(); ++i) {
      if (i > 0) put(style_.item_separator);
      line(depth + 1);
      text(key(pairs[i].key));
      put(style_.key_separator);
      value(pairs[i].value, depth + 1);
    }
    line(depth);
    put("}");
  }

  Heap& heap_;
  const JsonStyle& style_;
  std::string out_;
};

}  // namespace

std::string to_json(Heap& heap, const Value& value, const JsonStyle& style) {
  JsonWriter writer(heap, style);
  writer.value(value, 0);
  return writer.take();
}

}  // namespace antiphon::text::jinja
