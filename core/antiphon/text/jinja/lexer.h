// A template as tokens, with Jinja's rules for white space (trim_blocks, lstrip_blocks, the signs - and +).
#pragma once
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace antiphon::text::jinja {

enum class TokenType : uint8_t {
  data,
  variable_begin,
  variable_end,
  block_begin,
  block_end,
  name,
  string,
  integer,
  real,
  sign,
  end
};

struct Token {
  TokenType type;
  int line;
  std::string_view text;  // of a string: its value
};

struct Tokens {
  std::vector<Token> list;  // ends with TokenType::end
  std::string source;       // with line endings as "\n", without the last one
  std::deque<std::string> strings;
  Tokens() = default;
  Tokens(Tokens&&) = delete;  // the tokens point into it
};

// Throws Problem (malformed).
void read_tokens(std::string_view source, Tokens& tokens);

// The value of a string literal.
std::string unescaped(std::string_view literal, int line);

}  // namespace antiphon::text::jinja
