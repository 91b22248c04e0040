// Objects that are mutable or callable: loops, functions, macros, and the scopes of names.
#pragma once
#include <antiphon/text/jinja/value.h>

namespace antiphon::text::jinja {

class Run;
struct MacroNode;
struct ForNode;

struct Keyword {
  std::string_view name;
  Value value;
};
struct Arguments {
  std::span<const Value> positional;
  std::span<const Keyword> keywords;
};

struct Variable {
  int32_t name;
  Value value;
};
// Names of one block; looked up from the innermost outwards.
struct Scope {
  Scope* parent = nullptr;
  std::span<Variable> variables = {};
  size_t size = 0;
};

struct Loop {
  const Sequence* items;
  size_t index = 0;
  int64_t depth = 1;
  const ForNode* recursive = nullptr;  // can be called
  Scope* scope = nullptr;              // where it is defined
  bool changed_before = false;
  std::span<const Value> last_changed = {};
};

using Native = Value (*)(Run&, const Value& self, const Arguments&);
struct Function {
  std::string_view name;
  Native native = nullptr;
  Value self = {};
  const MacroNode* macro = nullptr;
  Scope* scope = nullptr;  // of the macro
};

}  // namespace antiphon::text::jinja
