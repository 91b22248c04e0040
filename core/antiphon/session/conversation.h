// One conversation with a key-value cache that is kept between its turns: a prompt costs only what it does not share
// with what was there before, whatever the template does to earlier turns.
#pragma once
#include <optional>

#include <antiphon/data/prepare.h>
#include <antiphon/engine/sampling.h>

namespace antiphon::session {

class Conversation {
 public:
  // `capacity`: tokens that the cache can hold, at most the model's context. The model must outlive this object.
  Conversation(model::MultimodalLm& model, int64_t capacity);

  // Brings the cache to this prompt (made with Purpose::generation). Returns the tokens that had to be computed, media
  // included. Of a sound in parts, only the parts that are new are computed. Error(data) if the prompt does not fit;
  // the cache is then unchanged.
  int64_t prefill(data::Prepared prompt);
  // Begins an answer to the prompt. Error(data) if nothing was prefilled.
  void begin_answer(const engine::GenerateOptions& options, std::vector<int32_t> stop_ids);
  // Its next token; nullopt once a stop token comes or max_tokens are written. Error(data) if the cache is full.
  std::optional<int32_t> next();
  // Tokens that the cache holds.
  int64_t length() const { return static_cast<int64_t>(held_.size()); }
  int64_t capacity() const { return cache_.capacity; }
  void reset();

 private:
  model::MultimodalLm& model_;
  KvCache cache_;
  std::vector<uint64_t> held_;  // what each position of the cache was computed from
  at::Tensor hidden_;           // [1, hidden_size] after the last position
  std::optional<engine::Sampler> sampler_;
  std::vector<int64_t> seen_;  // the prompt's tokens and the answer's; -1 at media positions
  std::vector<int32_t> stop_ids_;
  std::optional<int64_t> unread_;  // the last token of the answer, which the cache does not hold yet
  int64_t left_ = 0;               // tokens that the answer may still have
};

}  // namespace antiphon::session
