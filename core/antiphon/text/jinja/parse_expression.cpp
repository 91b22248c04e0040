// Operators, from the loosest to the tightest.
#include <algorithm>

#include <antiphon/text/jinja/parser.h>

namespace antiphon::text::jinja {
namespace {

struct Sign {
  std::string_view text;
  Operator op;
  int level;
};
constexpr Sign arithmetic_signs[] = {{"+", Operator::add, 0},           {"-", Operator::subtract, 0},
                                     {"*", Operator::multiply, 1},      {"/", Operator::divide, 1},
                                     {"//", Operator::floor_divide, 1}, {"%", Operator::modulo, 1},
                                     {"**", Operator::power, 2}};

constexpr std::pair<std::string_view, Comparison> comparison_signs[] = {
    {"==", Comparison::equal},      {"!=", Comparison::unequal}, {"<", Comparison::less},
    {"<=", Comparison::less_equal}, {">", Comparison::greater},  {">=", Comparison::greater_equal}};

}  // namespace

ExprPtr Parser::expression() {
  const Nesting nesting(*this);
  auto value = disjunction();
  while (skip(TokenType::name, "if")) {
    auto test = disjunction();
    ExprPtr otherwise;
    if (skip(TokenType::name, "else")) otherwise = expression();
    auto node = made<ConditionalNode>(std::max({value->depth, test->depth, otherwise ? otherwise->depth : 0}));
    node->test = std::move(test), node->then = std::move(value), node->otherwise = std::move(otherwise);
    value = std::move(node);
  }
  return value;
}

ExprPtr Parser::disjunction() {
  auto first = conjunction();
  if (!word("or")) return first;
  std::vector<ExprPtr> parts;
  int depth = first->depth;
  parts.push_back(std::move(first));
  while (skip(TokenType::name, "or")) depth = std::max(depth, parts.emplace_back(conjunction())->depth);
  auto node = made<LogicNode>(depth);
  node->any = true, node->parts = std::move(parts);
  return node;
}

ExprPtr Parser::conjunction() {
  auto first = negation();
  if (!word("and")) return first;
  std::vector<ExprPtr> parts;
  int depth = first->depth;
  parts.push_back(std::move(first));
  while (skip(TokenType::name, "and")) depth = std::max(depth, parts.emplace_back(negation())->depth);
  auto node = made<LogicNode>(depth);
  node->parts = std::move(parts);
  return node;
}

ExprPtr Parser::negation() {
  if (!word("not")) return comparison();
  const Nesting nesting(*this);
  next();
  auto value = negation();
  auto node = made<UnaryNode>(value->depth);
  node->value = std::move(value);
  return node;
}

ExprPtr Parser::comparison() {
  auto first = arithmetic(0);
  std::vector<std::pair<Comparison, ExprPtr>> rest;
  int depth = first->depth;
  while (true) {
    const auto* found = std::find_if(std::begin(comparison_signs), std::end(comparison_signs),
                                     [&](const auto& known) { return sign(known.first); });
    Comparison kind = Comparison::in;
    if (found != std::end(comparison_signs)) {
      kind = found->second;
    } else if (word("not") && ahead().type == TokenType::name && ahead().text == "in") {
      kind = Comparison::not_in;
      next();
    } else if (!word("in")) {
      break;
    }
    next();
    depth = std::max(depth, rest.emplace_back(kind, arithmetic(0)).second->depth);
  }
  if (rest.empty()) return first;
  auto node = made<CompareNode>(depth);
  node->first = std::move(first), node->rest = std::move(rest);
  return node;
}

// Levels: + and -; *, /, // and %; **. ~ comes between the first two.
ExprPtr Parser::arithmetic(int level) {
  const auto inner = [&] { return level == 0 ? concatenation() : level == 1 ? arithmetic(2) : unary(true); };
  auto first = inner();
  std::vector<std::pair<Operator, ExprPtr>> rest;
  int depth = first->depth;
  while (true) {
    const auto* found = std::find_if(std::begin(arithmetic_signs), std::end(arithmetic_signs),
                                     [&](const Sign& known) { return known.level == level && sign(known.text); });
    if (found == std::end(arithmetic_signs)) break;
    next();
    depth = std::max(depth, rest.emplace_back(found->op, inner()).second->depth);
  }
  if (rest.empty()) return first;
  auto node = made<ArithmeticNode>(depth);
  node->first = std::move(first), node->rest = std::move(rest);
  return node;
}

ExprPtr Parser::concatenation() {
  auto first = arithmetic(1);
  if (!sign("~")) return first;
  std::vector<ExprPtr> parts;
  int depth = first->depth;
  parts.push_back(std::move(first));
  while (skip(TokenType::sign, "~")) depth = std::max(depth, parts.emplace_back(arithmetic(1))->depth);
  auto node = made<ConcatNode>(depth);
  node->parts = std::move(parts);
  return node;
}

ExprPtr Parser::unary(bool with_filter) {
  const Nesting nesting(*this);
  ExprPtr value;
  if (sign("-") || sign("+")) {
    const char mark = next().text[0];
    auto inner = unary(false);
    auto node = made<UnaryNode>(inner->depth);
    node->sign = mark, node->value = std::move(inner);
    value = std::move(node);
  } else {
    value = primary();
  }
  value = postfix(std::move(value));
  return with_filter ? filtered(std::move(value)) : std::move(value);
}

}  // namespace antiphon::text::jinja
