// The Unigram model of a tokenizer.json or of SentencePiece: of all ways to cut a text into tokens, the one with the
// largest sum of scores (Viterbi). Sources: huggingface/tokenizers, src/models/unigram/model.rs (0.23), sums in double;
// google/sentencepiece, src/unigram_model.cc (EncodeOptimized), sums in float.
#pragma once
#include <antiphon/text/tokenizer/token_model.h>

namespace antiphon::text {

class Unigram : public TokenModel {
 public:
  // {"type", "unk_id": id or null, "vocab": [[token, score], …], "byte_fallback"}. For SentencePiece also:
  // "sentencepiece": true, "outside": ids that text does not yield (control tokens, bytes), "user_defined": ids that
  // win over others. Config error, naming `where`, for an empty or malformed vocabulary and ids outside it.
  Unigram(const nlohmann::json& model, const std::string& where);
  ~Unigram() override;

  // Characters without a token, side by side, are one unknown token, or the tokens of their bytes if all are there.
  // Config error if there is neither.
  void encode(std::string_view word, std::vector<int32_t>& ids, const std::vector<bool>* barred) const override;
  int32_t id_of(std::string_view token) const override;
  const std::vector<std::string>& tokens() const override;
  size_t size() const override;
  bool reachable(int32_t id) const override;
  int32_t unknown() const override;
  const char* name() const override { return "Unigram"; }

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace antiphon::text
