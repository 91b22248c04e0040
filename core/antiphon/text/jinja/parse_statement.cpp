// Tags.
#include <utility>

#include <fmt/format.h>

#include <antiphon/text/jinja/parser.h>

namespace antiphon::text::jinja {

std::unique_ptr<Stmt> Parser::statement() {
  const Nesting nesting(*this);
  if (now().type != TokenType::name) refuse("tag name expected");
  if (word("if")) return if_statement();
  if (word("for")) return for_statement();
  if (word("set")) return set_statement();
  if (word("with")) return with_statement();
  if (word("macro")) return macro_statement();
  if (word("call")) return call_statement();
  if (word("filter")) return filter_statement();
  if (word("print")) return print_statement();
  if (word("generation")) return generation_statement();
  if (word("break")) return jump_statement(Flow::leave);
  if (word("continue")) return jump_statement(Flow::again);
  for (const std::string_view other : {"include", "import", "from", "extends", "block", "autoescape"})
    if (word(other)) refuse(fmt::format("the tag '{}' has no use in a chat template", other));
  refuse(fmt::format("Encountered unknown tag '{}'", now().text));
}

// The rest of the tag's line, then all up to one of `ends`, whose tag is then open.
Body Parser::block(Strings ends) {
  skip(TokenType::sign, ":");
  end_block();
  return body(ends);
}

Target Parser::one_target(bool attributes) {
  if (sign("(")) {
    next();
    auto inner = target(attributes, ")");
    expect_sign(")");
    return inner;
  }
  Target target;
  const auto name = expect_name();
  for (const std::string_view fixed : {"true", "false", "none", "True", "False", "None"})
    if (name == fixed) refuse(fmt::format("can't assign to '{}'", name));
  target.name = names_.number(name);
  if (attributes && skip(TokenType::sign, ".")) target.attribute = expect_name();
  return target;
}

Target Parser::target(bool attributes, std::string_view end) {
  const Nesting nesting(*this);
  auto first = one_target(attributes);
  if (!sign(",")) return first;
  Target all;
  all.parts.push_back(std::move(first));
  while (skip(TokenType::sign, ",")) {
    if (now().type == TokenType::block_end || sign(")") || (!end.empty() && word(end)) || sign("=")) break;
    all.parts.push_back(one_target(attributes));
  }
  return all;
}

std::unique_ptr<Stmt> Parser::if_statement() {
  auto node = begun<IfNode>();
  while (true) {
    next();
    auto test = tuple(false, false);
    auto then = block({"elif", "else", "endif"});
    node->branches.emplace_back(std::move(test), std::move(then));
    if (word("elif")) continue;
    if (skip(TokenType::name, "else")) node->otherwise = block({"endif"});
    next();
    return node;
  }
}

std::unique_ptr<Stmt> Parser::for_statement() {
  auto node = begun<ForNode>();
  node->loop_name = names_.number("loop");
  next();
  node->target = target(false, "in");
  expect(TokenType::name, "in", "in");
  node->iterated = tuple(false, false, "recursive");
  if (skip(TokenType::name, "if")) node->test = expression();
  node->recursive = skip(TokenType::name, "recursive");
  ++loops_;
  node->body = block({"else", "endfor"});
  --loops_;
  if (skip(TokenType::name, "else")) node->otherwise = block({"endfor"});
  next();
  return node;
}

std::unique_ptr<Stmt> Parser::set_statement() {
  const auto line = now().line;
  next();
  auto to = target(true);
  if (skip(TokenType::sign, "=")) {
    auto node = begun<SetNode>();
    node->line = line, node->target = std::move(to), node->value = tuple(false, true);
    return node;
  }
  auto node = begun<SetBlockNode>();
  node->line = line, node->target = std::move(to);
  if (skip(TokenType::sign, "|")) node->filter = filter_chain();
  node->body = block({"endset"});
  next();
  return node;
}

// The last filter of a chain; the first has no input.
std::unique_ptr<FilterNode> Parser::filter_chain() {
  auto chain = filter(nullptr);
  while (skip(TokenType::sign, "|")) {
    chain = filter(std::move(chain));
    chain->chained = true;
  }
  return chain;
}

std::unique_ptr<Stmt> Parser::with_statement() {
  auto node = begun<WithNode>();
  next();
  while (now().type != TokenType::block_end) {
    if (!node->values.empty()) expect_sign(",");
    auto to = one_target(false);
    expect_sign("=");
    node->values.emplace_back(std::move(to), expression());
  }
  node->body = block({"endwith"});
  next();
  return node;
}

void Parser::signature(MacroNode& macro) {
  expect_sign("(");
  while (!sign(")")) {
    if (!macro.parameters.empty()) expect_sign(",");
    const auto name = names_.number(expect_name());
    auto& parameter = macro.parameters.emplace_back(Parameter{name, names_.words[static_cast<size_t>(name)], nullptr});
    if (skip(TokenType::sign, "="))
      parameter.otherwise = expression();
    else if (macro.parameters.size() > 1 && macro.parameters.end()[-2].otherwise)
      refuse("non-default argument follows default argument");
  }
  next();
}

void Parser::macro_body(MacroNode& macro, std::string_view end) {
  const auto callers = callers_, rests = rests_, keyword_uses = keyword_uses_;
  const int loops = std::exchange(loops_, 0);
  macro.body = block({end});
  loops_ = loops;
  macro.uses_caller = callers_ > callers, macro.uses_rest = rests_ > rests;
  macro.uses_keywords = keyword_uses_ > keyword_uses;
  macro.caller = names_.number("caller"), macro.rest = names_.number("varargs");
  macro.keywords = names_.number("kwargs");
}

std::unique_ptr<Stmt> Parser::macro_statement() {
  auto node = begun<MacroNode>();
  next();
  node->words = expect_name();
  node->name = names_.number(node->words);
  signature(*node);
  macro_body(*node, "endmacro");
  next();
  return node;
}

std::unique_ptr<Stmt> Parser::call_statement() {
  auto node = begun<CallBlockNode>();
  node->caller = begun<MacroNode>();
  node->caller->words = "caller";
  next();
  if (sign("(")) signature(*node->caller);
  auto called = expression();
  auto* call = dynamic_cast<CallNode*>(called.get());
  if (!call) refuse("expected call");
  called.release();
  node->call.reset(call);
  macro_body(*node->caller, "endcall");
  next();
  return node;
}

std::unique_ptr<Stmt> Parser::filter_statement() {
  auto node = begun<FilterBlockNode>();
  next();
  node->filter = filter_chain();
  node->body = block({"endfilter"});
  next();
  return node;
}

std::unique_ptr<Stmt> Parser::print_statement() {
  auto node = begun<PrintNode>();
  next();
  while (now().type != TokenType::block_end) {
    if (!node->values.empty()) expect_sign(",");
    node->values.push_back(expression());
  }
  return node;
}

std::unique_ptr<Stmt> Parser::generation_statement() {
  auto node = begun<GenerationNode>();
  next();
  const int loops = std::exchange(loops_, 0);
  node->body = block({"endgeneration"});
  loops_ = loops;
  next();
  return node;
}

std::unique_ptr<Stmt> Parser::jump_statement(Flow flow) {
  if (loops_ == 0) refuse(fmt::format("'{}' outside of a loop", now().text));
  auto node = begun<JumpNode>();
  next();
  node->flow = flow;
  return node;
}

}  // namespace antiphon::text::jinja
