#include <fmt/format.h>

#include <array>
#include <cctype>

#include <antiphon/base/error.h>
#include <antiphon/text/tokenizer/pattern.h>

namespace antiphon::text {
namespace {

struct Property {
  std::string_view name, additions;
};

// General categories, and the characters that Unicode 15 to 16 added to them.
constexpr Property properties[] = {
    {"L",
     "\\x{1c89}-\\x{1c8a}\\x{a7cb}-\\x{a7cd}\\x{a7da}-\\x{a7dc}\\x{105c0}-\\x{105f3}\\x{10d4a}-\\x{10d65}"
     "\\x{10d6f}-\\x{10d85}\\x{10ec2}-\\x{10ec4}\\x{1123f}-\\x{11240}\\x{11380}-\\x{11389}\\x{1138b}\\x{1138e}"
     "\\x{11390}-\\x{113b5}\\x{113b7}\\x{113d1}\\x{113d3}\\x{11bc0}-\\x{11be0}\\x{11f02}\\x{11f04}-\\x{11f10}"
     "\\x{11f12}-\\x{11f33}\\x{1342f}\\x{13441}-\\x{13446}\\x{13460}-\\x{143fa}\\x{16100}-\\x{1611d}"
     "\\x{16d40}-\\x{16d6c}\\x{18cff}\\x{1b132}\\x{1b155}\\x{1df25}-\\x{1df2a}\\x{1e030}-\\x{1e06d}"
     "\\x{1e4d0}-\\x{1e4eb}\\x{1e5d0}-\\x{1e5ed}\\x{1e5f0}\\x{2b739}\\x{2ebf0}-\\x{2ee5d}\\x{31350}-\\x{323af}"},
    {"Lu", "\\x{1c89}\\x{a7cb}-\\x{a7cc}\\x{a7da}\\x{a7dc}\\x{10d50}-\\x{10d65}"},
    {"Ll", "\\x{1c8a}\\x{a7cd}\\x{a7db}\\x{10d70}-\\x{10d85}\\x{1df25}-\\x{1df2a}"},
    {"Lt", ""},
    {"Lm", "\\x{10d4e}\\x{10d6f}\\x{16d40}-\\x{16d42}\\x{16d6b}-\\x{16d6c}\\x{1e030}-\\x{1e06d}\\x{1e4eb}"},
    {"Lo",
     "\\x{105c0}-\\x{105f3}\\x{10d4a}-\\x{10d4d}\\x{10d4f}\\x{10ec2}-\\x{10ec4}\\x{1123f}-\\x{11240}"
     "\\x{11380}-\\x{11389}\\x{1138b}\\x{1138e}\\x{11390}-\\x{113b5}\\x{113b7}\\x{113d1}\\x{113d3}"
     "\\x{11bc0}-\\x{11be0}\\x{11f02}\\x{11f04}-\\x{11f10}\\x{11f12}-\\x{11f33}\\x{1342f}\\x{13441}-\\x{13446}"
     "\\x{13460}-\\x{143fa}\\x{16100}-\\x{1611d}\\x{16d43}-\\x{16d6a}\\x{18cff}\\x{1b132}\\x{1b155}"
     "\\x{1e4d0}-\\x{1e4ea}\\x{1e5d0}-\\x{1e5ed}\\x{1e5f0}\\x{2b739}\\x{2ebf0}-\\x{2ee5d}\\x{31350}-\\x{323af}"},
    {"M",
     "\\x{897}\\x{cf3}\\x{ece}\\x{10d69}-\\x{10d6d}\\x{10efc}-\\x{10eff}\\x{11241}\\x{113b8}-\\x{113c0}\\x{113c2}"
     "\\x{113c5}\\x{113c7}-\\x{113ca}\\x{113cc}-\\x{113d0}\\x{113d2}\\x{113e1}-\\x{113e2}\\x{11f00}-\\x{11f01}"
     "\\x{11f03}\\x{11f34}-\\x{11f3a}\\x{11f3e}-\\x{11f42}\\x{11f5a}\\x{13440}\\x{13447}-\\x{13455}"
     "\\x{1611e}-\\x{1612f}\\x{1e08f}\\x{1e4ec}-\\x{1e4ef}\\x{1e5ee}-\\x{1e5ef}"},
    {"N",
     "\\x{10d40}-\\x{10d49}\\x{116d0}-\\x{116e3}\\x{11bf0}-\\x{11bf9}\\x{11f50}-\\x{11f59}\\x{16130}-\\x{16139}"
     "\\x{16d70}-\\x{16d79}\\x{1ccf0}-\\x{1ccf9}\\x{1d2c0}-\\x{1d2d3}\\x{1e4f0}-\\x{1e4f9}\\x{1e5f1}-\\x{1e5fa}"},
    {"Nd",
     "\\x{10d40}-\\x{10d49}\\x{116d0}-\\x{116e3}\\x{11bf0}-\\x{11bf9}\\x{11f50}-\\x{11f59}\\x{16130}-\\x{16139}"
     "\\x{16d70}-\\x{16d79}\\x{1ccf0}-\\x{1ccf9}\\x{1e4f0}-\\x{1e4f9}\\x{1e5f1}-\\x{1e5fa}"},
    {"Nl", ""},
    {"No", "\\x{1d2c0}-\\x{1d2d3}"},
    {"P",
     "\\x{1b4e}-\\x{1b4f}\\x{1b7f}\\x{10d6e}\\x{113d4}-\\x{113d5}\\x{113d7}-\\x{113d8}\\x{11b00}-\\x{11b09}\\x{11be1}"
     "\\x{11f43}-\\x{11f4f}\\x{16d6d}-\\x{16d6f}\\x{1e5ff}"},
    {"S",
     "\\x{2427}-\\x{2429}\\x{2ffc}-\\x{2fff}\\x{31e4}-\\x{31e5}\\x{31ef}\\x{10d8e}-\\x{10d8f}\\x{1cc00}-\\x{1ccef}"
     "\\x{1cd00}-\\x{1ceb3}\\x{1f6dc}\\x{1f774}-\\x{1f776}\\x{1f77b}-\\x{1f77f}\\x{1f7d9}\\x{1f8b2}-\\x{1f8bb}"
     "\\x{1f8c0}-\\x{1f8c1}\\x{1fa75}-\\x{1fa77}\\x{1fa87}-\\x{1fa89}\\x{1fa8f}\\x{1faad}-\\x{1faaf}"
     "\\x{1fabb}-\\x{1fabf}\\x{1fac6}\\x{1face}-\\x{1facf}\\x{1fada}-\\x{1fadc}\\x{1fadf}\\x{1fae8}-\\x{1fae9}"
     "\\x{1faf7}-\\x{1faf8}\\x{1fbcb}-\\x{1fbef}"},
    {"Pc", ""},
    {"Ps", ""},
    {"Pe", ""},
    {"Pi", ""},
    {"Pf", ""},
    {"Sc", ""},
    {"Sk", ""},
    {"Z", ""},
    {"Zs", ""},
    {"Cc", ""},
};

// PCRE2's own \s also takes U+180E, which is not white space since Unicode 6.3.
constexpr std::string_view space_items =
    "\\x09-\\x0d\\x20\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}";
constexpr std::string_view not_space_items =
    "\\x00-\\x08\\x0e-\\x1f\\x21-\\x{84}\\x{86}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}"
    "\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}\\x{3001}-\\x{10ffff}";
// Letters by the property Alphabetic alone: circled and squared ones.
constexpr std::string_view other_letters =
    "\\x{24b6}-\\x{24e9}\\x{1f130}-\\x{1f149}\\x{1f150}-\\x{1f169}\\x{1f170}-\\x{1f189}";

class Translator {
 public:
  explicit Translator(std::string_view source) : source_(source) {}

  std::string run() {
    while (at_ < source_.size()) outside_class();
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(std::string_view construct) const {
    fail(ErrorKind::config, fmt::format("the pattern {} uses {}, which is not supported", source_, construct),
         "write the pattern with \\p{L}, \\p{N}, \\s, classes, groups and look-ahead only");
  }
  bool next_is(std::string_view text) const { return source_.substr(at_).starts_with(text); }
  void copy(size_t count) {
    out_ += source_.substr(at_, count);
    at_ += count;
  }

  void outside_class() {
    const char c = source_[at_];
    if (c == '\\') return escape(false);
    if (c == '[') return character_class();
    if (c == '(') return group();
    if (c == '{') return interval();
    copy(1);
  }

  void group() {
    for (std::string_view opening : {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:"})
      if (next_is(opening)) return copy(opening.size());
    if (at_ == 0 && next_is("(?i)")) return copy(4);
    if (next_is("(?") || next_is("(*")) refuse(source_.substr(at_, 4));
    copy(1);
  }

  // {n}, {n,}, {n,m} and {,m} are repeats; any other brace is a character.
  void interval() {
    const size_t close = source_.find('}', at_);
    if (close == std::string_view::npos) return literal_brace();
    const auto body = source_.substr(at_ + 1, close - at_ - 1);
    size_t commas = 0, digits = 0;
    for (char c : body) commas += c == ',', digits += std::isdigit(static_cast<unsigned char>(c)) != 0;
    if (digits == 0 || commas > 1 || digits + commas != body.size()) return literal_brace();
    if (close + 1 < source_.size() && source_[close + 1] == '+') refuse("a repeat of a repeat");
    out_ += body.front() == ',' ? "{0" : "{";
    at_ += 1;
    copy(close - at_ + 1);
  }
  void literal_brace() {
    out_ += "\\{";
    ++at_;
  }

  void character_class() {
    copy(1);
    if (next_is("^")) copy(1);
    if (next_is("]")) refuse("an empty class");
    while (!next_is("]")) {
      if (at_ >= source_.size()) refuse("a class that is not closed");
      if (next_is("[")) refuse("a class inside a class");
      if (next_is("&&")) refuse("an intersection of classes");
      if (next_is("\\")) {
        escape(true);
      } else {
        copy(1);
      }
    }
    copy(1);
  }

  // Writes a set of characters, as a class of its own unless it is already inside one.
  void items(std::string_view text, bool in_class, bool negative = false) {
    if (in_class && negative) refuse("a negative property inside a class");
    out_ += in_class ? std::string(text) : fmt::format("[{}{}]", negative ? "^" : "", text);
  }

  void escape(bool in_class) {
    if (at_ + 1 >= source_.size()) refuse("a backslash at its end");
    const char c = source_[at_ + 1];
    if (c == 'p' || c == 'P') return property(in_class, c == 'P');
    if (c == 'x' || c == 'u') return code_point(c);
    if (!std::isalnum(static_cast<unsigned char>(c))) return copy(2);
    at_ += 2;
    switch (c) {
      case 's': return items(space_items, in_class);
      case 'S': return items(in_class ? not_space_items : space_items, in_class, !in_class);
      case 'd': return items(category("Nd"), in_class);
      case 'D': return items(category("Nd"), in_class, true);
      case 'w': return items(word_items(), in_class);
      case 'W': return items(word_items(), in_class, true);
      case 'v': out_ += "\\x0b"; return;
      case 'n':
      case 'r':
      case 't':
      case 'f':
      case 'a':
      case 'e': out_ += {'\\', c}; return;
      case 'A':
      case 'z':
        if (!in_class) {
          out_ += {'\\', c};
          return;
        }
        break;
      default: break;
    }
    refuse(fmt::format("the escape \\{}", c));
  }

  static std::string word_items() {
    return category("L") + category("M") + category("Nd") + category("Nl") + category("Pc") +
           std::string(other_letters);
  }
  static std::string category(std::string_view name) {
    for (const auto& known : properties)
      if (known.name == name) return fmt::format("\\p{{{}}}{}", known.name, known.additions);
    return {};
  }

  void property(bool in_class, bool negative) {
    const size_t close = source_.find('}', at_);
    if (at_ + 2 >= source_.size() || source_[at_ + 2] != '{' || close == std::string_view::npos)
      refuse("\\p without {…}");
    auto name = source_.substr(at_ + 3, close - at_ - 3);
    if (name.starts_with("^")) {
      negative = !negative;
      name.remove_prefix(1);
    }
    const auto text = category(name);
    if (text.empty()) refuse(fmt::format("the property \\p{{{}}}", name));
    at_ = close + 1;
    items(text, in_class, negative);
  }

  // \xHH (ASCII only: higher ones are single bytes to Oniguruma), \x{H…}, \uHHHH.
  void code_point(char kind) {
    const bool braces = kind == 'x' && source_.substr(at_).starts_with("\\x{");
    const size_t begin = at_ + (braces ? 3 : 2);
    const size_t end = braces ? source_.find('}', begin) : begin + (kind == 'x' ? 2 : 4);
    if (end == std::string_view::npos || end > source_.size() || end == begin || end - begin > 6)
      refuse("a malformed code point");
    const auto digits = source_.substr(begin, end - begin);
    for (char c : digits)
      if (!std::isxdigit(static_cast<unsigned char>(c))) refuse("a malformed code point");
    if (kind == 'x' && !braces && digits[0] > '7') refuse("a single byte above 7F");
    out_ += fmt::format("\\x{{{}}}", digits);
    at_ = end + (braces ? 1 : 0);
  }

  std::string_view source_;
  size_t at_ = 0;
  std::string out_;
};

}  // namespace

std::string translate_pattern(std::string_view oniguruma) { return Translator(oniguruma).run(); }

}  // namespace antiphon::text
