// A parsed template. Nodes are immutable and evaluated by many threads; `depth` bounds the recursion over them.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include <antiphon/text/jinja/number.h>
#include <antiphon/text/jinja/object.h>

namespace antiphon::text::jinja {

struct Expr {
  int line = 0, depth = 1;
  virtual ~Expr() = default;
  virtual Value eval(Run& run) const = 0;
};
using ExprPtr = std::unique_ptr<Expr>;

enum class Flow { next, leave, again };  // go on; {% break %}; {% continue %}

struct Stmt {
  int line = 0;
  virtual ~Stmt() = default;
  virtual Flow exec(Run& run) const = 0;
};
using Body = std::vector<std::unique_ptr<Stmt>>;

// The target of an assignment: a name, an attribute of a namespace, or several.
struct Target {
  int32_t name = -1;
  std::string attribute;
  std::vector<Target> parts;
};

struct KeywordNode {
  std::string name;
  ExprPtr value;
};
struct ArgumentNodes {
  std::vector<ExprPtr> positional;
  std::vector<KeywordNode> keywords;
  ExprPtr spread, spread_keywords;  // *list, **dict
};

struct Constant : Expr {
  std::string words;
  Text text;
  Value value;
  Value eval(Run&) const override { return value; }
};
struct NameNode : Expr {
  int32_t name = 0;
  Value eval(Run& run) const override;
};
struct SequenceNode : Expr {
  std::vector<ExprPtr> values;
  Sequence::Type type = Sequence::Type::list;
  Value eval(Run& run) const override;
};
struct DictNode : Expr {
  std::vector<std::pair<ExprPtr, ExprPtr>> pairs;
  Value eval(Run& run) const override;
};
struct UnaryNode : Expr {
  char sign = '!';  // '!', '-', '+'
  ExprPtr value;
  Value eval(Run& run) const override;
};
// a + b - c: from the left.
struct ArithmeticNode : Expr {
  ExprPtr first;
  std::vector<std::pair<Operator, ExprPtr>> rest;
  Value eval(Run& run) const override;
};
struct ConcatNode : Expr {
  std::vector<ExprPtr> parts;
  Value eval(Run& run) const override;
};
struct LogicNode : Expr {
  bool any = false;  // or
  std::vector<ExprPtr> parts;
  Value eval(Run& run) const override;
};
enum class Comparison { equal, unequal, less, less_equal, greater, greater_equal, in, not_in };
struct CompareNode : Expr {
  ExprPtr first;
  std::vector<std::pair<Comparison, ExprPtr>> rest;
  Value eval(Run& run) const override;
};
struct ConditionalNode : Expr {
  ExprPtr test, then, otherwise;
  Value eval(Run& run) const override;
};
struct AttributeNode : Expr {
  ExprPtr object;
  std::string words;
  Text text;
  Value eval(Run& run) const override;
};
struct ElementNode : Expr {
  ExprPtr object, index;
  Value eval(Run& run) const override;
};
struct SliceNode : Expr {
  ExprPtr object, start, stop, step;
  Value eval(Run& run) const override;
};
struct CallNode : Expr {
  ExprPtr callee;
  ArgumentNodes arguments;
  Value eval(Run& run) const override;
  // With a caller, as {% call %} gives one.
  Value call(Run& run, const Value* caller) const;
};
struct FilterNode : Expr {
  ExprPtr input;         // absent in blocks, which supply their own
  bool chained = false;  // in a block: `input` is a filter, too
  std::string name;
  ArgumentNodes arguments;
  Value eval(Run& run) const override;
  Value apply(Run& run, const Value& given) const;  // `given` for an absent input
};
struct TestNode : Expr {
  ExprPtr input;
  std::string name;
  ArgumentNodes arguments;
  Value eval(Run& run) const override;
};

struct DataNode : Stmt {
  std::string text;
  Flow exec(Run& run) const override;
};
struct PrintNode : Stmt {
  std::vector<ExprPtr> values;
  Flow exec(Run& run) const override;
};
struct IfNode : Stmt {
  std::vector<std::pair<ExprPtr, Body>> branches;
  Body otherwise;
  Flow exec(Run& run) const override;
};
struct ForNode : Stmt {
  int32_t loop_name = 0;
  Target target;
  ExprPtr iterated, test;
  bool recursive = false;
  Body body, otherwise;
  Flow exec(Run& run) const override;
  Flow loop(Run& run, const Value& over, int64_t depth, Scope* scope) const;
};
struct SetNode : Stmt {
  Target target;
  ExprPtr value;
  Flow exec(Run& run) const override;
};
struct SetBlockNode : Stmt {
  Target target;
  std::unique_ptr<FilterNode> filter;
  Body body;
  Flow exec(Run& run) const override;
};
struct WithNode : Stmt {
  std::vector<std::pair<Target, ExprPtr>> values;
  Body body;
  Flow exec(Run& run) const override;
};
struct FilterBlockNode : Stmt {
  std::unique_ptr<FilterNode> filter;
  Body body;
  Flow exec(Run& run) const override;
};
struct Parameter {
  int32_t name;
  std::string_view words;  // in the template's list of names
  ExprPtr otherwise;
};
struct MacroNode : Stmt {
  int32_t name = -1;  // a caller has none
  std::string words;
  std::vector<Parameter> parameters;
  bool uses_caller = false, uses_rest = false, uses_keywords = false;  // caller, varargs, kwargs
  int32_t caller = -1, rest = -1, keywords = -1;                       // their names
  Body body;
  Flow exec(Run& run) const override;
  Value call(Run& run, const Arguments& arguments, Scope* scope) const;
};
struct CallBlockNode : Stmt {
  std::unique_ptr<CallNode> call;
  std::unique_ptr<MacroNode> caller;
  Flow exec(Run& run) const override;
};
// {% generation %}
struct GenerationNode : Stmt {
  Body body;
  Flow exec(Run& run) const override;
};
struct JumpNode : Stmt {
  Flow flow = Flow::leave;
  Flow exec(Run&) const override { return flow; }
};

}  // namespace antiphon::text::jinja
