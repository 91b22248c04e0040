// How values and keys are written in TOML text and in messages.
#pragma once
#include <string>
#include <string_view>

#include <antiphon/config/value.h>

namespace antiphon::config {

// A TOML basic string with its quotes: "a\nb".
std::string in_quotes(std::string_view text);
// A key as TOML wants it: bare where that is allowed, else quoted.
std::string key_text(std::string_view key);
// Whether a key with this character in it may stand without quotes.
bool is_bare(char c);
// A bound in a message: 3, not 3.0.
std::string number_text(double value);
// A scalar as TOML text; `value` is neither table, array nor empty.
std::string scalar_text(const Value& value);
// The dotted path of `key` in `section` ("" is the top level).
std::string key_path(const std::string& section, std::string_view key);
// A value in few words, for messages: `string "abc"`, `integer 3`, `list of 4`, `table`.
std::string in_words(const Value& value);

}  // namespace antiphon::config
