// The classes of characters that BERT's and SentencePiece's steps of `tokenizers` 0.23 tell apart, by the Unicode
// tables that it has, which are older than ICU's. Checked character by character against it (tests/parity).
#pragma once
#include <cstddef>
#include <string_view>

namespace antiphon::text {

// Punctuation (P, Unicode 8), or one of ASCII's other marks.
bool is_punctuation(char32_t c);
// Control, format and private use (Unicode 8), but for tab, line feed and carriage return.
bool is_invisible(char32_t c);
// Nonspacing marks (Mn, Unicode 8).
bool is_nonspacing_mark(char32_t c);
// All marks (M, Unicode 9).
bool is_mark(char32_t c);
// The blocks of CJK ideographs that BERT sets apart (google-research/bert, tokenization.py).
bool is_ideograph(char32_t c);

// Where the extended grapheme cluster (Unicode Standard Annex 29) that starts at text[begin] ends.
size_t grapheme_end(std::string_view text, size_t begin);

}  // namespace antiphon::text
