// Tokenizers that are a table of pieces with scores: SentencePiece's .model files (sentencepiece_model.proto of
// google/sentencepiece 0.2), and "llama" in GGUF.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace antiphon::text {

enum class PieceKind { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

struct Piece {
  std::string text;
  float score = 0;
  PieceKind kind = PieceKind::normal;
};

struct PieceTable {
  std::vector<Piece> pieces;
  bool unigram = true;  // else BPE
  bool byte_fallback = false;
  int64_t bos = 1, eos = 2, pad = -1;  // -1: none
  std::string unknown_surface = " \xE2\x81\x87 ";
  std::string charsmap;
  bool add_dummy_prefix = true, remove_extra_whitespaces = true, escape_whitespaces = true;
  // As the library itself: a user-defined symbol is a word of the text, which may begin with it, and decoding leaves
  // out the space of each token until there is text. Llama's and Gemma's classes in transformers, and llama.cpp, do
  // neither.
  bool as_library = false;
};

// Config error, naming `where`, for what is not such a file, pieces that are empty, doubled or not UTF-8, models of
// words or characters, and white space as suffix.
PieceTable read_sentencepiece(std::string_view bytes, const std::string& where);

// The table as a tokenizer.json. `by_id`: merges are those that transformers makes for its LlamaTokenizer and
// GemmaTokenizer (generate_merges: by id, then by the length of the left token); else those of SentencePiece, by score,
// leftmost first. Config error for tables without an unknown piece, and for unused pieces that merges would make.
nlohmann::json tokenizer_json(const PieceTable& table, const std::string& where, bool by_id);

}  // namespace antiphon::text
