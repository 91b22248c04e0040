// Which rows of a forward pass are text and which are embeddings of media, for adapters that change one of both
// (Abouelenin et al. 2025, Phi-4-Multimodal: a LoRA for each modality; Saon et al. 2025, Granite-speech).
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <string>

namespace antiphon {

enum class TokenChoice { all, media, text };
TokenChoice token_choice(const std::string& name);  // "all", "media", "text"; Error(internal) for others

class TokenKinds {
 public:
  // Of `tokens` rows those at `media_n` [n], int64 on the device that computes, each once.
  TokenKinds(int64_t tokens, const at::Tensor& media_n);
  int64_t tokens() const { return tokens_; }
  // [n] int64, in order; `choice` is one of both.
  const at::Tensor& chosen(TokenChoice choice) const { return choice == TokenChoice::media ? media_n_ : text_n_; }
  const at::Tensor& others(TokenChoice choice) const { return choice == TokenChoice::media ? text_n_ : media_n_; }
  // Those of the chosen rows alone, one after the other.
  std::shared_ptr<const TokenKinds> alone(TokenChoice choice) const;

 private:
  TokenKinds(at::Tensor media_n, at::Tensor text_n);
  int64_t tokens_;
  at::Tensor media_n_, text_n_;
};

// What the rows of this thread's passes are while an object lives; the innermost one counts. Null: nothing says it.
class TokenKindScope {
 public:
  explicit TokenKindScope(std::shared_ptr<const TokenKinds> kinds);
  ~TokenKindScope();
  TokenKindScope(const TokenKindScope&) = delete;
  static const std::shared_ptr<const TokenKinds>& now();

 private:
  std::shared_ptr<const TokenKinds> before_;
};

}  // namespace antiphon
