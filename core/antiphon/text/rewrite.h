// Replacements in a text by regular expressions, as Python's re.sub does them.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace antiphon::text {

// Immutable; one object may be used by many threads. Texts are well-formed UTF-8.
class Rewrite {
 public:
  // `pattern` in PCRE2's syntax, except that \b, \w, \s and \d are those of Python 3 for str: a word has letters,
  // digits and _. `replacement`: $1 is the first group. Error(internal) if either is malformed.
  Rewrite(std::string_view pattern, std::string replacement);
  std::string operator()(std::string_view text) const;
  // Whether it is found anywhere, as re.search. Error(internal) if that takes too many steps.
  bool matches(std::string_view text) const;
  // What lies between the matches, as re.split without groups.
  std::vector<std::string> split(std::string_view text) const;

 private:
  std::shared_ptr<const void> code_;
  std::string replacement_;
};

}  // namespace antiphon::text
