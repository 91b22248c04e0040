#include <antiphon/text/template_source.h>

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/strings.h>
#include <antiphon/text/unicode.h>

namespace antiphon::text {
namespace {

constexpr size_t max_bytes = 256 << 10, max_run = 512, max_depth = 64, max_tag_words = 1000;

[[noreturn]] void refuse(std::string_view what) {
  fail(ErrorKind::config, fmt::format("the chat template {}", what),
       "take the template of the original model, or write a simpler one");
}

bool is_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }
bool is_blank(char c) { return std::isspace(static_cast<unsigned char>(c)); }

// Line ends as "\n"; one at the end of all is dropped.
std::string unified_lines(std::string_view source) {
  std::string out;
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r' && i + 1 < source.size() && source[i + 1] == '\n') continue;
    out += source[i] == '\r' ? '\n' : source[i];
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

class Preparer {
 public:
  explicit Preparer(std::string source) : source_(std::move(source)) {}

  std::string run() {
    while (at_ < source_.size()) {
      if (starts("{#") || starts("{{") || starts("{%")) {
        tag();
      } else {
        text_ += source_[at_++];
      }
    }
    return std::move(out_.append(text_));
  }

 private:
  bool starts(std::string_view text) const { return std::string_view(source_).substr(at_).starts_with(text); }
  void copy(size_t count) {
    out_.append(source_, at_, count);
    at_ += count;
  }

  void tag() {
    const bool comment = starts("{#"), variable = starts("{{");
    const size_t begin = at_;
    at_ += 2;
    const char sign = at_ < source_.size() ? source_[at_] : ' ';
    end_text(sign, variable);
    out_ += comment ? "{#" : variable ? "{{" : "{%";
    if (sign == '-' || sign == '+') ++at_;
    const size_t body = out_.size();
    comment ? skip_comment() : read_tag(variable ? "}}" : "%}", begin);
    const char last = source_[at_ - 1];
    const bool signed_end = (last == '-' || last == '+') && at_ > begin + 2;
    if (signed_end && out_.size() > body) out_.pop_back();
    if (!comment && !variable) nest(std::string_view(out_).substr(body));
    out_ += comment ? "#}" : variable ? "}}" : "%}";
    at_ += 2;
    begin_text(signed_end ? last : ' ', variable);
  }

  // The text before a tag: "-" strips it; before a block, blanks at the beginning of its line go, unless "+" keeps
  // them.
  void end_text(char sign, bool variable) {
    if (sign == '-') {
      while (!text_.empty() && is_space(code_point_at(text_, previous_start(text_, text_.size())).value))
        text_.resize(previous_start(text_, text_.size()));
    } else if (sign != '+' && !variable) {
      const size_t line = text_.rfind('\n') + 1;
      if ((line > 0 || line_start_) && std::all_of(text_.begin() + static_cast<ptrdiff_t>(line), text_.end(), is_blank))
        text_.resize(line);
    }
    out_ += text_;
    text_.clear();
  }

  // The text after a tag: "-" strips it; after a block, one line break goes, unless "+" keeps it.
  void begin_text(char sign, bool variable) {
    const size_t begin = at_;
    if (sign == '-') {
      while (at_ < source_.size() && is_space(code_point_at(source_, at_).value))
        at_ += code_point_at(source_, at_).length;
    } else if (sign != '+' && !variable && starts("\n")) {
      ++at_;
    }
    line_start_ = at_ > begin && source_[at_ - 1] == '\n';
  }

  void skip_comment() {
    const size_t end = source_.find("#}", at_);
    if (end == std::string_view::npos) refuse("has a comment that is not closed");
    at_ = end;
  }

  // Copies up to the closing brackets. The engine matches names and blanks, and nests expressions, by recursion.
  void read_tag(std::string_view close, size_t begin) {
    size_t depth = 0, words = 0, run = 0;
    while (depth > 0 || !starts(close)) {
      if (at_ >= source_.size()) refuse(fmt::format("has a tag that is not closed: {}", source_.substr(begin, 40)));
      const char c = source_[at_], before = out_.back();
      if (c == '"' || c == '\'') {
        string(c);
        continue;
      }
      if (c == '(' || c == '[' || c == '{') ++depth;
      if ((c == ')' || c == ']' || c == '}') && depth > 0) --depth;
      words += !is_name(c) || !is_name(before);
      run = (is_name(c) && is_name(before)) || (is_blank(c) && is_blank(before)) ? run + 1 : 0;
      if (depth > max_depth || words > max_tag_words || run > max_run)
        refuse(fmt::format("has a tag that is too complex: {}", source_.substr(begin, 40)));
      copy(1);
    }
  }

  void string(char quote) {
    size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) refuse("has a string that is not closed");
    copy(end + 1 - at_);
  }

  void nest(std::string_view body) {
    while (!body.empty() && !is_name(body.front())) body.remove_prefix(1);
    const auto word =
        body.substr(0, static_cast<size_t>(std::find_if_not(body.begin(), body.end(), is_name) - body.begin()));
    if (word.starts_with("end") && blocks_ > 0) --blocks_;
    for (std::string_view opening : {"if", "for", "macro", "filter", "generation"}) blocks_ += word == opening;
    if (blocks_ > max_depth) refuse(fmt::format("nests blocks more than {} deep", max_depth));
  }

  std::string source_, text_, out_;
  size_t at_ = 0, blocks_ = 0;
  bool line_start_ = true;
};

}  // namespace

std::string prepared_template(std::string_view source) {
  if (source.size() > max_bytes) refuse(fmt::format("has {} bytes; at most {} are allowed", source.size(), max_bytes));
  if (!is_utf8(source)) refuse("is not well-formed UTF-8");
  return Preparer(unified_lines(source)).run();
}

}  // namespace antiphon::text
