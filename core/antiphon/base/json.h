// JSON from outside, read with a limit on its depth, so that code that walks the value later (writing, comparing) may
// recurse.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <antiphon/base/error.h>

namespace antiphon {

constexpr int kMaxJsonDepth = 64;

// How deep a place of a JSON text lies, as its bytes come by in order: brackets that stand in no string count. Follows
// any text as far as a parser does.
class JsonDepth {
 public:
  // The depth after this byte.
  int after(char c) {
    if (escaped_) return escaped_ = false, depth_;
    escaped_ = quoted_ && c == '\\';
    if (c == '"') quoted_ = !quoted_;
    if (quoted_) return depth_;
    if (c == '[' || c == '{') ++depth_;
    if (c == ']' || c == '}') --depth_;
    return depth_;
  }
  bool quoted() const { return quoted_; }

 private:
  int depth_ = 0;
  bool quoted_ = false, escaped_ = false;
};

// What is wrong with a text. `problem` completes "it is …", e.g. "not valid JSON", "nested more than 64 levels deep".
struct JsonProblem {
  std::string problem;
  size_t byte = 0;  // where the problem starts
};

struct JsonSource {
  std::string name;  // what messages name: a path, or "tokenizer.json"
  ErrorKind kind = ErrorKind::config;
  std::string fix = {};
  bool unique_keys = false;  // a repeated key in an object is an error; else the last one counts, as in Python
  std::vector<std::string> skipped = {};  // members of the outermost object that are not kept
};

// The value, or a discarded value and `problem` set. The text need not be UTF-8 or end in a NUL.
nlohmann::json parse_json(std::string_view text, JsonProblem& problem, bool unique_keys = false);
// The same with the members of objects in the order of the text. More than 14,000 members of one object are a problem,
// too, or as much work in several.
nlohmann::ordered_json parse_ordered_json(std::string_view text, JsonProblem& problem);
// The value without the reason: a discarded value if there is any problem.
nlohmann::json parse_json(std::string_view text);
// Error(source.kind) "NAME:LINE:COLUMN: …" if there is any problem.
nlohmann::json parse_json(std::string_view text, const JsonSource& source);

}  // namespace antiphon
