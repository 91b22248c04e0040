// SentencePiece's normalizer: its table of replacements, and how spaces are written.
// Source: google/sentencepiece, src/normalizer.cc (0.2).
#pragma once
#include <antiphon/text/tokenizer/charsmap.h>
#include <antiphon/text/tokenizer/normalizer.h>

namespace antiphon::text {

constexpr std::string_view escaped_space = "\xE2\x96\x81";  // "▁"

struct PieceSpaces {
  bool add_dummy_prefix = true;          // a space before the text
  bool remove_extra_whitespaces = true;  // none at the ends, one between words
  bool escape_whitespaces = true;        // written as "▁"
};

// Stops beyond `most` bytes. A text after a token or other text gets no prefix and keeps its spaces at that end.
std::string as_sentencepiece(std::string_view text, const Charsmap& map, const PieceSpaces& spaces,
                             Normalizer::Edges edges, size_t most);

}  // namespace antiphon::text
