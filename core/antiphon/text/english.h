// Whisper's EnglishTextNormalizer, by which English transcripts are compared (Radford et al. 2022, appendix C;
// transformers' whisper/english_normalizer.py): lower case, nothing in brackets, no "uh" and "hmm", contractions
// written out, numbers in digits, American spelling, no diacritics, symbols or punctuation. White space as single
// spaces, here trimmed.
#pragma once
#include <map>
#include <string>
#include <string_view>

namespace antiphon::text {

// British to American spelling, word by word; empty: words stay as they are.
using Spellings = std::map<std::string, std::string, std::less<>>;

// Any bytes; malformed UTF-8 becomes U+FFFD first.
std::string whisper_english(std::string_view text, const Spellings& spellings);

}  // namespace antiphon::text
