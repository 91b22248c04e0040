#include <antiphon/text/jinja/lexer.h>

#include <algorithm>

#include <fmt/format.h>

#include <antiphon/text/jinja/heap.h>
#include <antiphon/text/jinja/words.h>
#include <antiphon/text/unicode.h>

namespace antiphon::text::jinja {
namespace {

constexpr std::string_view long_signs[] = {"//", "**", "==", "!=", ">=", "<="};
constexpr std::string_view short_signs = "+-/*%~[](){}><=.:|,;";

std::string unified_lines(std::string_view source) {
  std::string out;
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r' && i + 1 < source.size() && source[i + 1] == '\n') continue;
    out += source[i] == '\r' ? '\n' : source[i];
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

bool digit(char c) { return c >= '0' && c <= '9'; }

class Lexer {
 public:
  explicit Lexer(Tokens& tokens) : tokens_(tokens), rest_(tokens.source) {}

  void run() {
    while (true) {
      const size_t at = next_tag();
      text_ = rest_.substr(0, at);
      if (at == std::string_view::npos) break;
      move(at);
      tag();
    }
    add(TokenType::data, text_);
    line_ += static_cast<int>(std::count(text_.begin(), text_.end(), '\n'));
    tokens_.list.push_back({TokenType::end, line_, {}});
  }

 private:
  [[noreturn]] void refuse(std::string message) const { throw Problem{Cause::malformed, std::move(message), line_}; }

  size_t next_tag() const {
    for (size_t at = rest_.find('{'); at != std::string_view::npos; at = rest_.find('{', at + 1))
      if (at + 1 < rest_.size() && (rest_[at + 1] == '{' || rest_[at + 1] == '%' || rest_[at + 1] == '#')) return at;
    return std::string_view::npos;
  }

  void move(size_t count) {
    line_ += static_cast<int>(std::count(rest_.begin(), rest_.begin() + static_cast<ptrdiff_t>(count), '\n'));
    if (count > 0) line_start_ = rest_[count - 1] == '\n';
    rest_.remove_prefix(count);
  }
  void add(TokenType type, std::string_view text) {
    if (type != TokenType::data || !text.empty()) tokens_.list.push_back({type, line_, text});
  }
  size_t spaces(size_t at) const {
    while (at < rest_.size() && python_space(code_point_at(rest_, at).value)) at += code_point_at(rest_, at).length;
    return at;
  }
  // The sign at `at`, or ' '.
  char sign(size_t at) const { return at < rest_.size() && (rest_[at] == '-' || rest_[at] == '+') ? rest_[at] : ' '; }

  void tag() {
    const char kind = rest_[1];
    const char mark = sign(2);
    end_text(mark, kind == '{');
    const size_t begin = mark == ' ' ? 2 : 3;
    if (kind == '#') return comment(begin);
    if (kind == '%' && raw(begin)) return;
    add(kind == '{' ? TokenType::variable_begin : TokenType::block_begin, {});
    move(begin);
    kind == '{' ? inside("}}", TokenType::variable_end) : inside("%}", TokenType::block_end);
  }

  // The text before a tag: "-" strips it; before a block, blanks at the beginning of its line are removed, unless "+"
  // keeps them.
  void end_text(char mark, bool variable) {
    if (mark == '-') {
      while (!text_.empty() && python_space(code_point_at(text_, previous_start(text_, text_.size())).value))
        text_ = text_.substr(0, previous_start(text_, text_.size()));
    } else if (mark != '+' && !variable) {
      const size_t line = text_.rfind('\n') + 1;
      auto blanks = text_.substr(line);
      while (!blanks.empty() && python_space(code_point_at(blanks, 0).value))
        blanks.remove_prefix(code_point_at(blanks, 0).length);
      if ((line > 0 || begins_line_) && blanks.empty()) text_ = text_.substr(0, line);
    }
    add(TokenType::data, text_);
  }

  // Moves past the end of a tag, and over what its sign strips.
  void close(size_t end, char mark, bool variable) {
    if (mark == '-') {
      end = spaces(end);
    } else if (mark != '+' && !variable && end < rest_.size() && rest_[end] == '\n') {
      ++end;
    }
    move(end);
    begins_line_ = line_start_;
  }

  void comment(size_t begin) {
    const size_t end = rest_.find("#}", begin);
    if (end == std::string_view::npos) refuse("Missing end of comment tag");
    close(end + 2, end > begin ? sign(end - 1) : ' ', false);
  }

  bool raw(size_t begin) {
    size_t at = spaces(begin);
    if (rest_.substr(at, 3) != "raw") return false;
    at = spaces(at + 3);
    const bool strips = rest_.substr(at, 3) == "-%}";
    if (!strips && rest_.substr(at, 2) != "%}") return false;
    move(strips ? spaces(at + 3) : at + 2);
    begins_line_ = line_start_;
    raw_text();
    return true;
  }

  void raw_text() {
    if (rest_.empty()) return;
    for (size_t at = rest_.find("{%"); at != std::string_view::npos; at = rest_.find("{%", at + 1)) {
      const char mark = sign(at + 2);
      size_t end = spaces(at + (mark == ' ' ? 2 : 3));
      if (rest_.substr(end, 6) != "endraw") continue;
      end = spaces(end + 6);
      const char last = sign(end);
      if (rest_.substr(end + (last != ' '), 2) != "%}") continue;
      text_ = rest_.substr(0, at);
      end_text(mark, false);
      return close(end + (last != ' ') + 2, last, false);
    }
    refuse("Missing end of raw directive");
  }

  void inside(std::string_view end, TokenType type) {
    std::string open;
    while (true) {
      if (rest_.empty()) refuse("a tag is not closed");
      const bool variable = type == TokenType::variable_end;
      const char mark = variable && rest_[0] == '+' ? ' ' : sign(0);
      if (open.empty() && rest_.substr(mark != ' ', 2) == end) {
        add(type, {});
        return close(2 + (mark != ' '), mark, variable);
      }
      const auto [c, length] = code_point_at(rest_, 0);
      if (python_space(c)) {
        move(length);
      } else if (digit(rest_[0])) {
        number();
      } else if (is_class(c, Class::alnum) || c == '_') {
        name();
      } else if (c == '"' || c == '\'') {
        string(rest_[0]);
      } else {
        operation(open);
      }
    }
  }

  // Digits with single underscores between them.
  size_t digits(size_t at) const {
    if (at >= rest_.size() || !digit(rest_[at])) return at;
    while (at < rest_.size() &&
           (digit(rest_[at]) || (rest_[at] == '_' && at + 1 < rest_.size() && digit(rest_[at + 1]))))
      ++at;
    return at;
  }

  void number() {
    const size_t whole = digits(0);
    size_t end = whole;
    const bool after_dot = rest_.data() > tokens_.source.data() && rest_.data()[-1] == '.';
    if (!after_dot && whole + 1 < rest_.size() && rest_[whole] == '.') end = std::max(whole, digits(whole + 1));
    if (end == whole + 1) end = whole;
    if (!after_dot && end < rest_.size() && (rest_[end] | 0x20) == 'e') {
      const size_t power = end + 1 + (end + 1 < rest_.size() && (rest_[end + 1] == '+' || rest_[end + 1] == '-'));
      if (digits(power) > power) end = digits(power);
    }
    if (end > whole) return take(TokenType::real, end);
    take(TokenType::integer, based() ? based() : rest_[0] == '0' ? zeros() : whole);
  }
  size_t zeros() const {
    size_t at = 1;
    while (at < rest_.size() &&
           (rest_[at] == '0' || (rest_[at] == '_' && at + 1 < rest_.size() && rest_[at + 1] == '0')))
      ++at;
    return at;
  }
  // The length of 0x1F, 0o17, 0b11; 0 if it is not such a number.
  size_t based() const {
    if (rest_[0] != '0' || rest_.size() < 3) return 0;
    const char base = static_cast<char>(rest_[1] | 0x20);
    const std::string_view known = base == 'x' ? "0123456789abcdefABCDEF" : base == 'o' ? "01234567" : "01";
    if (base != 'x' && base != 'o' && base != 'b') return 0;
    size_t at = 2;
    while (at < rest_.size()) {
      const size_t next = at + (rest_[at] == '_');
      if (next >= rest_.size() || known.find(rest_[next]) == std::string_view::npos) break;
      at = next + 1;
    }
    return at > 2 ? at : 0;
  }

  void name() {
    size_t at = 0;
    while (at < rest_.size()) {
      const auto [c, length] = code_point_at(rest_, at);
      if (!is_class(c, Class::alnum) && c != '_') break;
      at += length;
    }
    take(TokenType::name, at);
  }

  void string(char quote) {
    size_t end = 1;
    while (end < rest_.size() && rest_[end] != quote) end += rest_[end] == '\\' ? 2 : 1;
    if (end >= rest_.size()) refuse("a string is not closed");
    tokens_.strings.push_back(unescaped(rest_.substr(1, end - 1), line_));
    add(TokenType::string, tokens_.strings.back());
    move(end + 1);
  }

  void operation(std::string& open) {
    for (const auto sign : long_signs)
      if (rest_.starts_with(sign)) return take(TokenType::sign, 2);
    const char c = rest_[0];
    if (short_signs.find(c) == std::string_view::npos) refuse(fmt::format("unexpected char '{}'", first_letter()));
    if (c == '(' || c == '[' || c == '{') open += c == '(' ? ')' : c == '[' ? ']' : '}';
    if (c == ')' || c == ']' || c == '}') {
      if (open.empty()) refuse(fmt::format("unexpected '{}'", c));
      if (open.back() != c) refuse(fmt::format("unexpected '{}', expected '{}'", c, open.back()));
      open.pop_back();
    }
    take(TokenType::sign, 1);
  }
  std::string_view first_letter() const { return rest_.substr(0, code_point_at(rest_, 0).length); }

  void take(TokenType type, size_t length) {
    add(type, rest_.substr(0, length));
    move(length);
  }

  Tokens& tokens_;
  std::string_view rest_, text_;
  int line_ = 1;
  bool line_start_ = true, begins_line_ = true;
};

}  // namespace

void read_tokens(std::string_view source, Tokens& tokens) {
  tokens.source = unified_lines(source);
  Lexer(tokens).run();
}

}  // namespace antiphon::text::jinja
