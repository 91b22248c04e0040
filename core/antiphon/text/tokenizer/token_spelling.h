// The decoders of tokenizer.json: how tokens are written as text. ByteLevel; WordPiece; Metaspace; the Sequence that
// Llama 2 and Mistral have (Replace of "▁", ByteFallback, Fuse, Strip of one space at the start); or none, which puts a
// space between tokens. "Unknown" stands for SentencePiece's surface of the unknown token.
#pragma once
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace antiphon::text {

class JsonFields;

class TokenSpelling {
 public:
  // `decoder` may be null. Config error, naming `where`, for other types.
  TokenSpelling(const nlohmann::json& decoder, const std::string& where);
  // Whether tokens are spelled in the byte alphabet of GPT-2.
  bool byte_level() const { return byte_level_; }
  // The bytes that a token represents after others, and at the start of a text.
  std::string bytes_of(std::string_view token) const;
  std::string first_bytes_of(std::string_view token) const;
  // Whether a text still starts after tokens that gave none of it, as SentencePiece has it if it removes spaces.
  bool starts_until_text() const { return starts_until_text_; }

 private:
  void add(const nlohmann::json& description, const std::string& where, int depth);
  void add_in_sequence(const JsonFields& fields, const std::string& type);
  std::string cleaned(std::string text) const;
  std::string with_spaces(std::string_view token, std::string_view space) const;
  bool byte_level_ = false, metaspace_ = false, byte_fallback_ = false, fused_ = false, strips_start_ = false;
  bool starts_until_text_ = false;
  bool apart_ = false, cleans_ = false;  // a space before each token; none before signs
  std::string space_, continuing_;       // what represents a space, and what says that none is there; empty: nothing
  std::string unknown_, unknown_surface_;
};

// The byte that a token such as "<0x0A>" names; -1 for any other text.
int named_byte(std::string_view token);

}  // namespace antiphon::text
