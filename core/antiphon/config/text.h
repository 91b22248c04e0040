// How values and keys are written in TOML text and in messages.
#pragma once
#include <string>
#include <string_view>

#include <antiphon/config/value.h>

namespace antiphon::config {

// A TOML basic string with its quotes: "a\nb".
std::string in_quotes(std::string_view text);
// A TOML key: bare if allowed, else quoted.
std::string key_text(std::string_view key);
// Whether a bare (unquoted) key may contain this character.
bool is_bare(char c);
// A bound in a message: 3, not 3.0.
std::string number_text(double value);
// A scalar as TOML text; `value` is not a table, an array or empty.
std::string scalar_text(const Value& value);
// The dotted path of `key` in `section` ("" is the top level).
std::string key_path(const std::string& section, std::string_view key);
// A short description of a value, for messages: `string "abc"`, `integer 3`, `list of 4`, `table`.
std::string in_words(const Value& value);

}  // namespace antiphon::config
