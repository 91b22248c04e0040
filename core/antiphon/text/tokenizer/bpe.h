// The BPE model of a tokenizer.json: vocabulary and merges, over bytes in GPT-2's alphabet or over characters.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace antiphon::text {

class Bpe {
 public:
  // From the object "model"; `byte_level`: words are bytes. Config error, naming `where`, for other models, byte
  // fallback with byte_level, dropout, affixes, merges of unknown tokens, and ids that are negative, duplicate or above
  // 4,194,303.
  Bpe(const nlohmann::json& model, const std::string& where, bool byte_level);
  ~Bpe();
  Bpe(Bpe&&) noexcept;
  Bpe& operator=(Bpe&&) noexcept;

  // Appends the ids of one word. Bytes (or characters, if there are no tokens for their bytes) without a token become
  // the unknown token, or nothing if there is none (as in `tokenizers`). Ids in `barred` (one flag per id) are neither
  // made by merging nor looked up as whole words. Thread-safe.
  void encode(std::string_view word, std::vector<int32_t>& ids, const std::vector<bool>* barred = nullptr) const;

  // -1 if the vocabulary has no such token. Tokens are as in the file.
  int32_t id_of(std::string_view token) const;
  // Indexed by id; "" if the id has no token.
  const std::vector<std::string>& tokens() const;
  // Entries, not ids: a vocabulary may have gaps.
  size_t size() const;
  // Whether an id can come out of encode.
  bool reachable(int32_t id) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace antiphon::text
