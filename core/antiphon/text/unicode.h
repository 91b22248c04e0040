// The parts of Unicode that tokenizers need, as the Rust crate `tokenizers` 0.23 sees them: every function takes and
// returns well-formed UTF-8. Checked code point by code point against that crate (tests/parity).
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace antiphon::text {

enum class NormalForm { nfc, nfd, nfkc, nfkd };

// The normal form by the tables of Unicode 9 (those of the crate): later characters stay unchanged.
std::string normalize(NormalForm form, std::string_view text);
// Lower case, each character on its own, without context (a final sigma is like any other).
std::string lowercase(std::string_view text);
// The same by Unicode's rules of context: a sigma that ends a word is a final one, as str.lower() of Python has it.
std::string lowercase_in_context(std::string_view text);

// The character that starts at text[position], and its length in bytes.
struct CodePoint {
  char32_t value;
  size_t length;
};
CodePoint code_point_at(std::string_view text, size_t position);
// The start of the character that ends before `position` (> 0).
size_t previous_start(std::string_view text, size_t position);
void append_utf8(std::string& out, char32_t code_point);

// General category Nd, Nl or No.
bool is_numeric(char32_t c);
// White_Space.
bool is_space(char32_t c);

// How many bytes at the end of `bytes` start a character that is not complete yet (0 to 3).
size_t incomplete_tail(std::string_view bytes);
// Malformed parts become U+FFFD, one for each maximal subpart (Unicode 3.9, practice of the WHATWG decoder).
std::string to_valid_utf8(std::string_view bytes);

}  // namespace antiphon::text
