// Small text helpers.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace antiphon {

std::vector<std::string> split(std::string_view text, char separator);
std::string join(const std::vector<std::string>& parts, std::string_view separator);
std::string_view trim(std::string_view text);

// The known name nearest to `name` by edit distance, or "" if none is close enough.
std::string nearest(std::string_view name, const std::vector<std::string>& known);

// 134515008 -> "134.5 M"; 1.2e9 -> "1.20 B".
std::string human_count(double count);
// 1048576 -> "1.0 MiB".
std::string human_bytes(double bytes);
// 3725 -> "1h 02m 05s".
std::string human_duration(double seconds);

// Whether `text` is well-formed UTF-8 (no surrogates, no overlong forms, at most U+10FFFF).
bool is_utf8(std::string_view text);

// Whether a name of parts with dots between them is `end`, or ends with it after a dot: "a.b.c" ends in "c" and "b.c".
bool ends_in(std::string_view name, std::string_view end);

// Shell-style match: `*` any run of characters, `?` one character.
bool glob_match(std::string_view pattern, std::string_view text);

}  // namespace antiphon
