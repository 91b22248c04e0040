// What describes a tokenizer in a directory, whatever its form, as a tokenizer.json.
#pragma once
#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>

#include <antiphon/text/tokenizer/tokenizer.h>

namespace antiphon::text {

// The file of `directory` that describes it: tokenizer.json, else tokenizer.model, spiece.model,
// sentencepiece.bpe.model, tekken.json or the only *.tiktoken. Config error if there is none, or several of the last
// kind.
std::filesystem::path tokenizer_file(const std::filesystem::path& directory);

// That file and the JSON files beside it that say how it is used. Config error if one cannot be read.
Tokenizer::Files tokenizer_files(const std::filesystem::path& directory);

struct TokenizerSource {
  nlohmann::json file, config;  // tokenizer.json and tokenizer_config.json
  bool given_ids = false;       // see Tokenizer::State
  std::string name;             // of the form: "tokenizer.model (SentencePiece)"
  bool apart = false;           // given ids stand even if the vocabulary has the same text under another id
};

// tokenizer.json as it is, or as transformers reads it for its class LlamaTokenizer (llama_tokenizer.h); files of
// SentencePiece, tiktoken and Mistral (tekken.json) with the tokens that tokenizer_config.json adds. Config error for
// anything malformed, and for classes of transformers that give other ids than SentencePiece.
TokenizerSource tokenizer_source(const Tokenizer::Files& files);

// Makes a post-processor of what the configuration of another form says: add_bos_token, add_eos_token.
void put_around(TokenizerSource& source);

}  // namespace antiphon::text
