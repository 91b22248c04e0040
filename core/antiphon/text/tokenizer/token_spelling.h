// The decoders of tokenizer.json: how tokens are written as text. ByteLevel; or Metaspace and the Sequence that Llama 2
// and Mistral have (Replace of "▁", ByteFallback, Fuse, Strip of one space at the start).
#pragma once
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace antiphon::text {

class TokenSpelling {
 public:
  // Config error, naming `where`, for other types.
  TokenSpelling(const nlohmann::json& decoder, const std::string& where);
  // Whether tokens are spelled in the byte alphabet of GPT-2.
  bool byte_level() const { return byte_level_; }
  // Whether a leading space of a text that begins with this token is not part of the text.
  bool strips_start(std::string_view token) const;
  // The bytes that a token represents.
  std::string bytes_of(std::string_view token) const;

 private:
  void add(const nlohmann::json& description, const std::string& where, int depth);
  bool byte_level_ = false, metaspace_ = false, byte_fallback_ = false, strips_start_ = false;
  std::string space_;  // what represents a space; empty: nothing does
};

// The byte that a token such as "<0x0A>" names; -1 for any other text.
int named_byte(std::string_view token);

}  // namespace antiphon::text
