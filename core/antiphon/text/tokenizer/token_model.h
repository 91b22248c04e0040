// The model of a tokenizer.json: what makes ids of one word.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace antiphon::text {

class TokenModel {
 public:
  virtual ~TokenModel() = default;
  // Appends the ids of one word (UTF-8). Ids in `barred` (one flag per id) do not come out, but for the unknown token.
  // Thread-safe.
  virtual void encode(std::string_view word, std::vector<int32_t>& ids,
                      const std::vector<bool>* barred = nullptr) const = 0;
  // -1 if the vocabulary has no such token. Tokens are as in the file.
  virtual int32_t id_of(std::string_view token) const = 0;
  // Indexed by id; "" if the id has no token.
  virtual const std::vector<std::string>& tokens() const = 0;
  // Entries, not ids: a vocabulary may have gaps.
  virtual size_t size() const = 0;
  // Whether an id can come out of encode, other than as the unknown token.
  virtual bool reachable(int32_t id) const = 0;
  // What stands for text without a token; -1: nothing.
  virtual int32_t unknown() const = 0;
  // "BPE", "Unigram" or "WordPiece".
  virtual const char* name() const = 0;
};

// From the object "model" of a tokenizer.json: BPE (bpe.h), Unigram (unigram.h) or WordPiece (word_piece.h).
// `byte_level`: words are bytes, which only BPE takes. Config error, naming `where`, for other models.
std::unique_ptr<TokenModel> make_token_model(const nlohmann::json& model, const std::string& where, bool byte_level);

}  // namespace antiphon::text
