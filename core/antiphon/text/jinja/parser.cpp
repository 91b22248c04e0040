#include <antiphon/text/jinja/parser.h>

#include <algorithm>

#include <fmt/format.h>

namespace antiphon::text::jinja {

int32_t NameTable::number(std::string_view name) {
  if (const auto found = numbers.find(name); found != numbers.end()) return found->second;
  words.emplace_back(name);
  return numbers[words.back()] = static_cast<int32_t>(words.size() - 1);
}

int32_t NameTable::find(std::string_view name) const {
  const auto found = numbers.find(name);
  return found == numbers.end() ? -1 : found->second;
}

Parser::Nesting::Nesting(Parser& parser) : parser_(parser) {
  if (++parser_.nesting_ > max_nesting) parser_.refuse("nests too deep (more than 200 levels)");
}

const Token& Parser::next() {
  const auto& token = now();
  if (token.type != TokenType::end) ++at_;
  return token;
}

bool Parser::skip(TokenType type, std::string_view text) {
  const bool found = is(type, text);
  if (found) ++at_;
  return found;
}

void Parser::expect(TokenType type, std::string_view text, std::string_view what) {
  if (!skip(type, text)) refuse(fmt::format("expected {}, got {}", what, now().text));
}

std::string Parser::expect_name() {
  if (now().type != TokenType::name) refuse(fmt::format("expected a name, got '{}'", now().text));
  return std::string(next().text);
}

void Parser::refuse(const std::string& message) const { throw Problem{Cause::malformed, message, now().line}; }

void Parser::refuse_token() const {
  if (now().type == TokenType::end) refuse("unexpected end of template");
  refuse(now().text.empty() ? "Expected an expression, got the end of a tag"
                            : fmt::format("unexpected '{}'", now().text));
}

Body Parser::body(Strings ends) {
  Body body;
  while (now().type != TokenType::end) {
    if (now().type == TokenType::data) {
      auto node = begun<DataNode>();
      node->text = next().text;
      body.push_back(std::move(node));
    } else if (now().type == TokenType::variable_begin) {
      auto node = begun<PrintNode>();
      next();
      node->values.push_back(tuple(false, true));
      expect(TokenType::variable_end, {}, "end of print statement");
      body.push_back(std::move(node));
    } else {
      next();
      if (now().type == TokenType::name && std::find(ends.begin(), ends.end(), now().text) != ends.end()) return body;
      body.push_back(statement());
      end_block();
    }
  }
  if (ends.size() > 0) refuse(fmt::format("unexpected end of template; a tag {} is missing", *(ends.end() - 1)));
  return body;
}

void parse(std::string_view source, Tree& tree) {
  Tokens tokens;
  read_tokens(source, tokens);
  tree.body = Parser(tokens, tree.names).body({});
}

}  // namespace antiphon::text::jinja
