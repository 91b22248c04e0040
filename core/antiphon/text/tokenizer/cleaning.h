// What normalizers of `tokenizers` 0.23 do to a text (src/normalizers): every function takes and returns UTF-8.
#pragma once
#include <string>
#include <string_view>

namespace antiphon::text {

struct BertOptions {
  bool clean_text = true, ideographs = true, strip_accents = true, lowercase = true;
};
// Control characters left out and white space as spaces, spaces around ideographs, decomposed without nonspacing marks,
// in lower case (google-research/bert, tokenization.py).
std::string as_bert(std::string text, const BertOptions& options);

// Without marks; a text is usually decomposed before.
std::string without_marks(std::string_view text);

// Without control characters, and with the spaces that SentencePiece's rules "nmt" know.
std::string as_nmt(std::string_view text);

// Without white space at its ends.
std::string strip(std::string_view text, bool left, bool right);

}  // namespace antiphon::text
