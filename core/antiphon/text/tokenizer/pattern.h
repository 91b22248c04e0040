// Regular expressions of tokenizer.json files. They are written for Oniguruma (Unicode 16), and run here on PCRE2
// (Unicode 14): translate_pattern rewrites what the two interpret differently and refuses what it cannot rewrite.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace antiphon::text {

// The PCRE2 form (flags UTF, UCP, MULTILINE) of an Oniguruma pattern. Config error if a construct is not supported.
std::string translate_pattern(std::string_view oniguruma);

// Immutable; one object may be used by many threads.
class Pattern {
 public:
  // Config error if the pattern is malformed or not supported.
  static Pattern regex(std::string_view oniguruma);
  static Pattern literal(std::string_view text);

  // Calls visit(begin, end) for each match, left to right, without overlap; an empty match right after another match
  // does not count. `text` is well-formed UTF-8. Data error if the search takes more CPU time than a second plus 2 µs
  // per byte.
  void for_each_match(std::string_view text, const std::function<void(size_t, size_t)>& visit) const;

  const std::string& source() const { return source_; }

 private:
  struct Code;
  Pattern(std::string source, std::string_view translated);
  std::string source_;
  std::shared_ptr<const Code> code_;
};

}  // namespace antiphon::text
