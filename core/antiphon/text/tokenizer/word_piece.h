// The WordPiece model of a tokenizer.json: the longest token at the start of a word, then the longest one that
// continues it, and so on. Source: huggingface/tokenizers, src/models/wordpiece/mod.rs (0.23).
#pragma once
#include <antiphon/text/tokenizer/byte_trie.h>
#include <antiphon/text/tokenizer/token_model.h>
#include <antiphon/text/tokenizer/vocabulary.h>
#include <antiphon/text/tokenizer/word_cache.h>

namespace antiphon::text {

class WordPiece : public TokenModel {
 public:
  // {"type", "unk_token", "continuing_subword_prefix", "max_input_chars_per_word", "vocab"}. Config error, naming
  // `where`, for a vocabulary without the unknown token.
  WordPiece(const nlohmann::json& model, const std::string& where);

  // A word that does not come out even, or has too many characters, is one unknown token.
  void encode(std::string_view word, std::vector<int32_t>& ids, const std::vector<bool>* barred) const override;
  int32_t id_of(std::string_view token) const override { return vocabulary_.id_of(token); }
  const std::vector<std::string>& tokens() const override { return vocabulary_.tokens(); }
  size_t size() const override { return vocabulary_.size(); }
  bool reachable(int32_t id) const override {
    return static_cast<size_t>(id) < vocabulary_.tokens().size() && !vocabulary_.tokens()[id].empty();
  }
  int32_t unknown() const override { return unknown_; }
  const char* name() const override { return "WordPiece"; }

 private:
  void cut(std::string_view word, std::vector<int32_t>& ids, const std::vector<bool>* barred) const;
  Vocabulary vocabulary_;
  ByteTrie first_, later_;  // of tokens that start a word, and of those that continue it, without the prefix
  int32_t unknown_ = -1;
  size_t most_letters_ = 100;
  mutable WordCache cache_;
};

}  // namespace antiphon::text
