// Literals and names, and what follows them: attributes, elements, calls, filters and tests.
#include <algorithm>

#include <fmt/format.h>

#include <antiphon/text/jinja/parser.h>

namespace antiphon::text::jinja {

ExprPtr Parser::primary() {
  switch (now().type) {
    case TokenType::name: return name();
    case TokenType::string: return string();
    case TokenType::integer:
    case TokenType::real: return number();
    default: break;
  }
  if (sign("[")) return list();
  if (sign("{")) return dict();
  if (!skip(TokenType::sign, "(")) refuse_token();
  auto value = tuple(true, true);
  expect_sign(")");
  return value;
}

ExprPtr Parser::name() {
  const auto words = next().text;
  const bool yes = words == "true" || words == "True", no = words == "false" || words == "False";
  if (yes || no || words == "none" || words == "None") {
    auto node = made<Constant>(0);
    if (yes || no) node->value = Value(yes);
    return node;
  }
  callers_ += words == "caller", rests_ += words == "varargs", keyword_uses_ += words == "kwargs";
  auto node = made<NameNode>(0);
  node->name = names_.number(words);
  return node;
}

ExprPtr Parser::string() {
  auto node = made<Constant>(0);
  while (now().type == TokenType::string) node->words += next().text;
  node->text = {node->words};
  node->value = Value(static_cast<const Text*>(&node->text));
  return node;
}

ExprPtr Parser::number() {
  auto node = made<Constant>(0);
  const bool real = now().type == TokenType::real;
  const auto words = next().text;
  try {
    node->value = real ? Value(*parse_real(words)) : Value(*parse_whole(words, 0));
  } catch (Problem& problem) {
    problem.cause = Cause::malformed, problem.line = node->line;
    throw;
  }
  return node;
}

ExprPtr Parser::list() {
  next();
  std::vector<ExprPtr> values;
  int depth = 0;
  while (!sign("]")) {
    if (!values.empty()) expect_sign(",");
    if (sign("]")) break;
    depth = std::max(depth, values.emplace_back(expression())->depth);
  }
  next();
  auto node = made<SequenceNode>(depth);
  node->values = std::move(values);
  return node;
}

ExprPtr Parser::dict() {
  next();
  std::vector<std::pair<ExprPtr, ExprPtr>> pairs;
  int depth = 0;
  while (!sign("}")) {
    if (!pairs.empty()) expect_sign(",");
    if (sign("}")) break;
    auto key = expression();
    expect_sign(":");
    auto value = expression();
    depth = std::max({depth, key->depth, value->depth});
    pairs.emplace_back(std::move(key), std::move(value));
  }
  next();
  auto node = made<DictNode>(depth);
  node->pairs = std::move(pairs);
  return node;
}

bool Parser::tuple_end(std::string_view end) const {
  return now().type == TokenType::variable_end || now().type == TokenType::block_end || sign(")") ||
         (!end.empty() && word(end));
}

ExprPtr Parser::tuple(bool parentheses, bool conditional, std::string_view end) {
  const Nesting nesting(*this);
  std::vector<ExprPtr> values;
  int depth = 0;
  bool several = false;
  while (!tuple_end(end)) {
    depth = std::max(depth, values.emplace_back(conditional ? expression() : disjunction())->depth);
    if (!skip(TokenType::sign, ",")) break;
    several = true;
  }
  if (!several && !values.empty()) return std::move(values[0]);
  if (values.empty() && !parentheses) refuse_token();
  auto node = made<SequenceNode>(depth);
  node->type = Sequence::Type::tuple, node->values = std::move(values);
  return node;
}

ExprPtr Parser::postfix(ExprPtr node) {
  while (true) {
    if (sign(".")) {
      node = attribute(std::move(node));
    } else if (sign("[")) {
      node = subscript(std::move(node));
    } else if (sign("(")) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

ExprPtr Parser::filtered(ExprPtr node) {
  while (true) {
    if (sign("|")) {
      next();
      node = filter(std::move(node));
    } else if (word("is")) {
      node = test(std::move(node));
    } else if (sign("(")) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

ExprPtr Parser::attribute(ExprPtr object) {
  next();
  if (now().type == TokenType::integer) {
    auto node = made<ElementNode>(object->depth);
    node->object = std::move(object), node->index = number();
    return node;
  }
  auto node = made<AttributeNode>(object->depth);
  node->words = expect_name();
  node->text = {node->words};
  node->object = std::move(object);
  return node;
}

ExprPtr Parser::subscript(ExprPtr object) {
  next();
  if (sign(":")) return slice(std::move(object), nullptr);
  std::vector<ExprPtr> indices;
  int depth = object->depth;
  while (!sign("]")) {
    if (!indices.empty()) expect_sign(",");
    depth = std::max(depth, indices.emplace_back(expression())->depth);
    if (sign(":") && indices.size() == 1) return slice(std::move(object), std::move(indices[0]));
  }
  next();
  auto node = made<ElementNode>(depth + 1);
  node->object = std::move(object);
  if (indices.size() == 1) {
    node->index = std::move(indices[0]);
  } else {
    auto all = made<SequenceNode>(depth);
    all->type = Sequence::Type::tuple, all->values = std::move(indices);
    node->index = std::move(all);
  }
  return node;
}

ExprPtr Parser::slice(ExprPtr object, ExprPtr start) {
  next();
  ExprPtr stop, step;
  if (!sign(":") && !sign("]")) stop = expression();
  if (skip(TokenType::sign, ":") && !sign("]")) step = expression();
  expect_sign("]");
  const auto depth = [](const ExprPtr& part) { return part ? part->depth : 0; };
  auto node = made<SliceNode>(std::max({depth(object), depth(start), depth(stop), depth(step)}));
  node->object = std::move(object), node->start = std::move(start);
  node->stop = std::move(stop), node->step = std::move(step);
  return node;
}

ExprPtr Parser::call(ExprPtr callee) {
  int depth = callee->depth;
  auto given = arguments(depth);
  auto node = made<CallNode>(depth);
  node->callee = std::move(callee), node->arguments = std::move(given);
  return node;
}

// After the | sign.
std::unique_ptr<FilterNode> Parser::filter(ExprPtr input) {
  auto name = expect_name();
  while (skip(TokenType::sign, ".")) name += "." + expect_name();
  int depth = input ? input->depth : 0;
  ArgumentNodes given;
  if (sign("(")) given = arguments(depth);
  auto node = made<FilterNode>(depth);
  node->input = std::move(input), node->name = std::move(name), node->arguments = std::move(given);
  return node;
}

ExprPtr Parser::test(ExprPtr input) {
  next();
  const bool negated = skip(TokenType::name, "not");
  auto name = expect_name();
  while (skip(TokenType::sign, ".")) name += "." + expect_name();
  int depth = input->depth;
  ArgumentNodes given;
  const auto type = now().type;
  if (sign("(")) {
    given = arguments(depth);
  } else if ((type >= TokenType::name && type <= TokenType::real && !word("else") && !word("or") && !word("and")) ||
             sign("[") || sign("{")) {
    if (word("is")) refuse("You cannot chain multiple tests with is");
    const Nesting nesting(*this);
    depth = std::max(depth, given.positional.emplace_back(postfix(primary()))->depth);
  }
  auto node = made<TestNode>(depth);
  node->input = std::move(input), node->name = std::move(name), node->arguments = std::move(given);
  if (!negated) return node;
  auto turned = made<UnaryNode>(node->depth);
  turned->value = std::move(node);
  return turned;
}

ArgumentNodes Parser::arguments(int& depth) {
  const Nesting nesting(*this);
  expect_sign("(");
  ArgumentNodes given;
  const auto ensure = [&](bool holds) {
    if (!holds) refuse("invalid syntax for function call expression");
  };
  const auto value = [&] {
    auto node = expression();
    depth = std::max(depth, node->depth);
    return node;
  };
  for (bool first = true; !sign(")"); first = false) {
    if (!first) expect_sign(",");
    if (sign(")")) break;
    if (skip(TokenType::sign, "*")) {
      ensure(!given.spread && !given.spread_keywords);
      given.spread = value();
    } else if (skip(TokenType::sign, "**")) {
      ensure(!given.spread_keywords);
      given.spread_keywords = value();
    } else if (now().type == TokenType::name && ahead().type == TokenType::sign && ahead().text == "=") {
      ensure(!given.spread_keywords);
      auto name = expect_name();
      next();
      given.keywords.push_back({std::move(name), value()});
    } else {
      ensure(!given.spread && !given.spread_keywords && given.keywords.empty());
      given.positional.push_back(value());
    }
  }
  next();
  return given;
}

}  // namespace antiphon::text::jinja
