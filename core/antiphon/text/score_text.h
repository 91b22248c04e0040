// Text normalization for scores, in every script. Any bytes are accepted: malformed UTF-8 becomes U+FFFD first.
#pragma once
#include <string>
#include <string_view>

namespace antiphon::text {

// Lower case as Python's str.lower() has it, without characters of the category P (punctuation), white space as single
// spaces, trimmed: jiwer 4's ToLowerCase and RemovePunctuation, then split and joined.
std::string without_punctuation(std::string_view text);

// Whisper's BasicTextNormalizer (Radford et al. 2022; transformers' whisper/english_normalizer.py): lower case, nothing
// in brackets, NFKC, characters of the categories M, S and P (marks, symbols, punctuation) as spaces, white space as
// single spaces, here trimmed.
std::string whisper_basic(std::string_view text);

// What Whisper's normalizers begin with: lower case, nothing in brackets.
std::string lower_outside_brackets(std::string_view text);

// Python's str.lower().
std::string python_lower(std::string_view text);

// The characters except those that Python's str.split() treats as white space.
std::u32string without_spaces(std::string_view text);

// Code points of any bytes.
std::u32string code_points(std::string_view text);

}  // namespace antiphon::text
