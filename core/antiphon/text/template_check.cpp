#include <antiphon/text/template_check.h>

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/strings.h>

namespace antiphon::text {
namespace {

constexpr size_t max_bytes = 256 << 10, max_run = 512, max_depth = 64, max_tag_words = 1000, max_blocks_deep = 64;

[[noreturn]] void refuse(std::string_view what) {
  fail(ErrorKind::config, fmt::format("the chat template {}", what), "take the template of the original model, or write a simpler one");
}

bool is_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

class Checker {
 public:
  explicit Checker(std::string_view source) : source_(source) {}

  std::string run() {
    while (at_ < source_.size()) {
      if (starts("{#")) {
        comment();
      } else if (starts("{{") || starts("{%")) {
        tag();
      } else {
        plain();
      }
    }
    return std::move(out_);
  }

 private:
  bool starts(std::string_view text) const { return source_.substr(at_).starts_with(text); }
  void copy(size_t count) {
    out_ += source_.substr(at_, count);
    at_ += count;
  }
  // The engine matches white space, names and comments by recursion.
  void count_run(bool goes_on) {
    run_ = goes_on ? run_ + 1 : 0;
    if (run_ > max_run) refuse(fmt::format("has a run of more than {} blanks or letters", max_run));
  }

  void plain() {
    count_run(std::isspace(static_cast<unsigned char>(source_[at_])));
    copy(1);
  }

  void comment() {
    const size_t end = source_.find("#}", at_ + 2);
    if (end == std::string_view::npos) refuse("has a comment that is not closed");
    const auto body = source_.substr(at_ + 2, end - at_ - 2);
    out_ += "{#";
    if (body.starts_with('-')) out_ += '-';
    out_ += ' ';
    if (body.size() > 1 && body.ends_with('-')) out_ += '-';
    out_ += "#}";
    at_ = end + 2;
  }

  void tag() {
    const std::string_view close = starts("{{") ? "}}" : "%}";
    const bool block = close == "%}";
    const size_t begin = at_;
    copy(2);
    size_t depth = 0, words = 0;
    run_ = 0;
    while (depth > 0 || !starts(close)) {
      if (at_ >= source_.size()) refuse(fmt::format("has a tag that is not closed: {}", source_.substr(begin, 40)));
      const char c = source_[at_];
      if (c == '"' || c == '\'') {
        string(c);
        continue;
      }
      if (c == '(' || c == '[' || c == '{') ++depth;
      if ((c == ')' || c == ']' || c == '}') && depth > 0) --depth;
      words += !is_name(c) || !is_name(out_.back());
      count_run(is_name(c) == is_name(out_.back()) && (is_name(c) || std::isspace(static_cast<unsigned char>(c))));
      if (depth > max_depth || words > max_tag_words) refuse(fmt::format("has a tag that is too complex: {}", source_.substr(begin, 40)));
      copy(1);
    }
    if (block) nest(source_.substr(begin + 2, at_ - begin - 2));
    copy(2);
  }

  void string(char quote) {
    size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) refuse("has a string that is not closed");
    run_ = 0;
    copy(end + 1 - at_);
  }

  void nest(std::string_view body) {
    while (!body.empty() && !is_name(body.front())) body.remove_prefix(1);
    const auto word = body.substr(0, std::find_if_not(body.begin(), body.end(), is_name) - body.begin());
    if (word.starts_with("end") && blocks_ > 0) --blocks_;
    for (std::string_view opening : {"if", "for", "macro", "filter", "generation", "call"}) blocks_ += word == opening;
    if (blocks_ > max_blocks_deep) refuse(fmt::format("nests blocks more than {} deep", max_blocks_deep));
  }

  std::string_view source_;
  size_t at_ = 0, run_ = 0, blocks_ = 0;
  std::string out_;
};

}  // namespace

std::string checked_template(std::string_view source) {
  if (source.size() > max_bytes) refuse(fmt::format("has {} bytes; at most {} are allowed", source.size(), max_bytes));
  if (!is_utf8(source)) refuse("is not well-formed UTF-8");
  return Checker(source).run();
}

}  // namespace antiphon::text
