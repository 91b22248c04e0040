// A tokenizer as GGUF files have it: the other direction of gguf_tokenizer.h.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace antiphon::text {

struct GgufVocabulary {
  std::string model, pre;  // tokenizer.ggml.model, tokenizer.ggml.pre ("" for SentencePiece's)
  std::vector<std::string> tokens, merges;
  std::vector<float> scores;           // of SentencePiece's only
  std::vector<int32_t> types;          // PieceKind
  std::map<std::string, int64_t> ids;  // "bos_token_id" -> 1
  bool add_bos = false, add_eos = false, add_space_prefix = true;
};

// Of a directory or GGUF file, with as many tokens as the embedding has rows: those that the tokenizer lacks are unused
// ones. BPE over bytes whose words llama.cpp cuts the same way; BPE over characters with tokens for bytes, whose merges
// become scores; SentencePiece's BPE. Config error for others, and more tokens than rows.
GgufVocabulary gguf_vocabulary(const std::filesystem::path& place, int64_t rows);

}  // namespace antiphon::text
