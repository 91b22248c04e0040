// One conversation with a key-value cache that is kept between its turns: a prompt costs only what it does not share with
// what was there before, whatever the template does to earlier turns.
#pragma once
#include <functional>

#include <antiphon/data/prepare.h>
#include <antiphon/infer/sampling.h>

namespace antiphon::infer {

class Conversation {
 public:
  // `capacity`: tokens that the cache can hold, at most the model's context. The model must outlive this object.
  Conversation(graph::MultimodalLm& model, int64_t capacity);

  // Brings the cache to this prompt (made with Purpose::generation). Returns the tokens that had to be computed, media
  // included. Error(data) where it does not fit; the cache is then as before.
  int64_t prefill(data::Prepared prompt);
  // Answers the prompt, without its end token; `on_token` returns false to end the answer. Error(data) where the cache is
  // full or nothing was prefilled.
  std::vector<int32_t> answer(const GenerateOptions& options, const std::vector<int32_t>& stop_ids,
                              const std::function<bool(int32_t)>& on_token = {});
  // Tokens that the cache holds.
  int64_t length() const { return static_cast<int64_t>(held_.size()); }
  int64_t capacity() const { return cache_.capacity; }
  void reset();

 private:
  graph::MultimodalLm& model_;
  KvCache cache_;
  std::vector<uint64_t> held_;  // what each position of the cache was computed from
  at::Tensor hidden_;           // [1, hidden_size] after the last position
};

}  // namespace antiphon::infer
