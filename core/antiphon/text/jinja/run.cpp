#include <antiphon/text/jinja/run.h>

#include <algorithm>

#include <fmt/format.h>

namespace antiphon::text::jinja {
namespace {

constexpr std::string_view functions[] = {"range",        "namespace", "dict",   "raise_exception",
                                          "strftime_now", "cycler",    "joiner", "lipsum"};

}  // namespace

void Run::define(std::string_view name, const Value& value) {
  if (const auto number = tree_.names.find(name); number >= 0) declare(globals_, number, value);
}

void Run::declare(Scope& scope, int32_t name, const Value& value) {
  for (auto& variable : scope.variables.first(scope.size))
    if (variable.name == name) {
      variable.value = value;
      return;
    }
  heap_.step(1 + scope.size / 4);
  if (scope.size == scope.variables.size()) {
    const auto more = heap_.array<Variable>(2 * scope.size + 4);
    std::copy(scope.variables.begin(), scope.variables.end(), more.begin());
    scope.variables = more;
  }
  scope.variables[scope.size++] = {name, value};
}

std::string Run::render() {
  for (const auto name : functions)
    if (tree_.names.find(name) >= 0)
      define(name, Value(static_cast<const Function*>(heap_.make(Function{name, global_function(name)}))));
  try {
    exec(tree_.body);
  } catch (Problem& problem) {
    if (problem.line == 0) problem.line = line_;
    throw;
  }
  return std::move(out_);
}

Flow Run::exec(const Body& body) {
  const Heap::Level level(heap_);
  for (const auto& statement : body) {
    heap_.step();
    line_ = statement->line;
    if (const auto flow = statement->exec(*this); flow != Flow::next) return flow;
  }
  return Flow::next;
}

void Run::write(std::string_view text) {
  heap_.work(text.size());
  if (sink_ != &out_) {
    heap_.charge(text.size());
  } else if (out_.size() + text.size() > heap_.limits().output) {
    fail_limit(fmt::format("writes too much (more than {} bytes)", heap_.limits().output));
  }
  *sink_ += text;
}

Value Run::capture(const Body& body, Flow* flow) {
  return captured([&] {
    const auto ended = exec(body);
    if (flow) *flow = ended;
  });
}

Value Run::lookup(int32_t name) {
  size_t seen = 0;
  for (const auto* scope = scope_; scope; scope = scope->parent) {
    seen += 1 + scope->size / 4;
    for (const auto& variable : scope->variables.first(scope->size)) {
      if (variable.name != name) continue;
      heap_.step(seen / 8);
      return variable.value;
    }
  }
  heap_.step(seen / 8);
  return undefined_name(heap_, words(name));
}

void Run::assign(int32_t name, const Value& value) { declare(*scope_, name, value); }

void Run::assign(const Target& target, const Value& value) {
  if (!target.parts.empty()) {
    const auto& all = items(heap_, value);
    if (all.size() != target.parts.size())
      fail_template(fmt::format("cannot unpack {} values into {} names", all.size(), target.parts.size()));
    for (size_t i = 0; i < all.size(); ++i) assign(target.parts[i], all.at(i));
  } else if (target.attribute.empty()) {
    assign(target.name, value);
  } else {
    const auto names = lookup(target.name);
    if (!names.is(Kind::names)) fail_template("cannot assign attribute on non-namespace object");
    set(heap_, names.names(), target.attribute, value);
  }
}

Arguments Run::arguments(const ArgumentNodes& nodes, const Value* caller) {
  const Sequence* spread = nodes.spread ? &items(heap_, eval(*nodes.spread)) : nullptr;
  const size_t more = spread ? spread->size() : 0;
  const auto positional = heap_.array<Value>(nodes.positional.size() + more);
  size_t at = 0;
  for (const auto& node : nodes.positional) positional[at++] = eval(*node);
  for (size_t i = 0; i < more; ++i) positional[at++] = spread->at(i);
  const auto given = nodes.spread_keywords ? eval(*nodes.spread_keywords) : Value();
  if (!given.is(Kind::none) && !given.is(Kind::dict)) fail_template("argument after ** must be a mapping");
  const size_t extra = given.is(Kind::dict) ? given.dict().size : 0;
  const auto keywords = heap_.array<Keyword>(nodes.keywords.size() + extra + (caller ? 1 : 0));
  at = 0;
  for (const auto& node : nodes.keywords) keywords[at++] = {node.name, eval(*node.value)};
  for (size_t i = 0; i < extra; ++i) {
    const auto& pair = given.dict().pairs[i];
    if (!pair.key.is(Kind::text)) fail_template("keywords must be strings");
    keywords[at++] = {pair.key.bytes(), pair.value};
  }
  if (caller) keywords[at++] = {"caller", *caller};
  return {positional, keywords};
}

Value Run::call(const Value& callee, const Arguments& arguments) {
  if (callee.is(Kind::undefined)) fail_undefined(heap_, callee);
  if (callee.is(Kind::loop)) {
    const auto& loop = callee.loop();
    if (!loop.recursive) fail_template("The loop must have the 'recursive' marker to be called recursively.");
    if (arguments.positional.size() != 1 || !arguments.keywords.empty()) fail_template("loop() takes one argument");
    const int line = line_;
    const auto written =
        captured([&] { loop.recursive->loop(*this, arguments.positional[0], loop.depth + 1, loop.scope); });
    line_ = line;
    return written;
  }
  if (!callee.is(Kind::function)) fail_template(fmt::format("'{}' object is not callable", type_name(callee)));
  const auto& function = callee.function();
  const int line = line_;
  const auto value = function.macro ? function.macro->call(*this, arguments, function.scope)
                                    : function.native(*this, function.self, arguments);
  line_ = line;
  return value;
}

}  // namespace antiphon::text::jinja
