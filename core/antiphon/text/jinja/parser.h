// Parses tokens into nodes, by Jinja's grammar.
#pragma once
#include <deque>
#include <map>

#include <antiphon/text/jinja/ast.h>
#include <antiphon/text/jinja/lexer.h>

namespace antiphon::text::jinja {

// Names as numbers, so that scopes need not compare strings.
struct NameTable {
  std::deque<std::string> words;
  std::map<std::string, int32_t, std::less<>> numbers;
  int32_t number(std::string_view name);
  int32_t find(std::string_view name) const;  // -1 if the template does not use it
};

struct Tree {
  NameTable names;
  Body body;
};

// Throws Problem (malformed), also for nesting deeper than 200.
void parse(std::string_view source, Tree& tree);

class Parser {
 public:
  Parser(const Tokens& tokens, NameTable& names) : tokens_(tokens), names_(names) {}
  Body body(std::initializer_list<std::string_view> ends);  // up to a tag that begins with one of these

 private:
  using Strings = std::initializer_list<std::string_view>;
  class Nesting;

  // Tokens
  const Token& now() const { return tokens_.list[at_]; }
  const Token& ahead() const { return tokens_.list[std::min(at_ + 1, tokens_.list.size() - 1)]; }
  const Token& next();
  bool is(TokenType type, std::string_view text) const { return now().type == type && now().text == text; }
  bool sign(std::string_view text) const { return is(TokenType::sign, text); }
  bool word(std::string_view text) const { return is(TokenType::name, text); }
  bool skip(TokenType type, std::string_view text);
  void expect(TokenType type, std::string_view text, std::string_view what);
  void expect_sign(std::string_view text) { expect(TokenType::sign, text, text); }
  std::string expect_name();
  [[noreturn]] void refuse(const std::string& message) const;
  [[noreturn]] void refuse_token() const;

  // Expressions
  ExprPtr expression();
  ExprPtr disjunction();
  ExprPtr conjunction();
  ExprPtr negation();
  ExprPtr comparison();
  ExprPtr arithmetic(int level);
  ExprPtr concatenation();
  ExprPtr unary(bool with_filter);
  ExprPtr primary();
  ExprPtr name();
  ExprPtr string();
  ExprPtr number();
  ExprPtr list();
  ExprPtr dict();
  ExprPtr tuple(bool parentheses, bool conditional, std::string_view end = {});
  bool tuple_end(std::string_view end) const;
  ExprPtr postfix(ExprPtr node);
  ExprPtr filtered(ExprPtr node);
  ExprPtr attribute(ExprPtr node);
  ExprPtr subscript(ExprPtr node);
  ExprPtr slice(ExprPtr object, ExprPtr start);
  ExprPtr call(ExprPtr node);
  std::unique_ptr<FilterNode> filter(ExprPtr input);
  ExprPtr test(ExprPtr node);
  ArgumentNodes arguments(int& depth);
  template <class Node>
  std::unique_ptr<Node> made(int children) const;

  // Statements
  std::unique_ptr<Stmt> statement();
  Body block(Strings ends);
  void end_block() { expect(TokenType::block_end, {}, "end of statement block"); }
  Target target(bool attributes, std::string_view end = {});
  Target one_target(bool attributes);
  std::unique_ptr<Stmt> if_statement();
  std::unique_ptr<Stmt> for_statement();
  std::unique_ptr<Stmt> set_statement();
  std::unique_ptr<Stmt> with_statement();
  std::unique_ptr<Stmt> macro_statement();
  std::unique_ptr<Stmt> call_statement();
  std::unique_ptr<Stmt> filter_statement();
  std::unique_ptr<Stmt> print_statement();
  std::unique_ptr<Stmt> generation_statement();
  std::unique_ptr<Stmt> jump_statement(Flow flow);
  std::unique_ptr<FilterNode> filter_chain();
  void signature(MacroNode& macro);
  void macro_body(MacroNode& macro, std::string_view end);
  template <class Node>
  std::unique_ptr<Node> begun() const;

  const Tokens& tokens_;
  NameTable& names_;
  size_t at_ = 0;
  int nesting_ = 0, loops_ = 0;
  size_t callers_ = 0, rests_ = 0, keyword_uses_ = 0;  // how often a name of that kind was read
};

class Parser::Nesting {
 public:
  explicit Nesting(Parser& parser);
  ~Nesting() { --parser_.nesting_; }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;

 private:
  Parser& parser_;
};

constexpr int max_nesting = 200;

template <class Node>
std::unique_ptr<Node> Parser::made(int children) const {
  auto node = std::make_unique<Node>();
  node->line = now().line;
  node->depth = children + 1;
  if (node->depth > max_nesting) refuse("an expression nests too deep (more than 200 levels)");
  return node;
}

template <class Node>
std::unique_ptr<Node> Parser::begun() const {
  auto node = std::make_unique<Node>();
  node->line = now().line;
  return node;
}

}  // namespace antiphon::text::jinja
