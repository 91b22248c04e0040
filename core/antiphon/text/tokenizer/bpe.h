// The BPE model: vocabulary and merges, over bytes in GPT-2's alphabet or over characters. A tokenizer.json lists the
// merges; files of SentencePiece and tiktoken rank the tokens, and any two that spell a third one merge to it.
#pragma once
#include <antiphon/text/tokenizer/token_model.h>

namespace antiphon::text {

class Bpe : public TokenModel {
 public:
  // From the object "model"; `byte_level`: words are bytes. Config error, naming `where`, for other models, byte
  // fallback with byte_level, dropout, a prefix of continued words, merges of unknown tokens, and ids that are
  // negative, duplicate or above 4,194,303. Instead of "merges" there may be "ranks", by id (the least merges first;
  // -1: neither merges nor comes out of a merge); of equal ranks the leftmost pair merges first or, with
  // "shorter_first", the one whose left token is shorter. "end_of_word_suffix" belongs to the last letter of each word
  // before any merge (CLIP's "</w>"); decoding leaves it in the text, as `tokenizers` does. "user_defined": ids whose
  // text is one letter wherever it stands, the longest first.
  Bpe(const nlohmann::json& model, const std::string& where, bool byte_level);
  ~Bpe() override;

  // Appends the ids of one word. Bytes (or characters, if there are no tokens for their bytes) without a token become
  // the unknown token, or nothing if there is none (as in `tokenizers`). Ids in `barred` (one flag per id) are neither
  // made by merging nor looked up as whole words. Thread-safe.
  void encode(std::string_view word, std::vector<int32_t>& ids, const std::vector<bool>* barred) const override;

  int32_t id_of(std::string_view token) const override;
  const std::vector<std::string>& tokens() const override;
  size_t size() const override;
  bool reachable(int32_t id) const override;
  int32_t unknown() const override;
  const char* name() const override { return "BPE"; }

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace antiphon::text
