// One conversation with a key-value cache that is kept between its turns: a prompt costs only what it does not share
// with what was there before, whatever the template does to earlier turns.
#pragma once
#include <deque>
#include <memory>
#include <optional>

#include <antiphon/engine/engine.h>

namespace antiphon::session {

class Conversation {
 public:
  // With an engine of its own. `capacity`: tokens that it can hold, at most the model's context. The model must outlive
  // this object. `options`: of the answers to come, as far as they need room; `tokenizer`: needed for options.stop.
  Conversation(model::MultimodalLm& model, int64_t capacity, const engine::GenerateOptions& options = {},
               std::optional<text::Tokenizer> tokenizer = std::nullopt);
  // One of several over an engine, which must outlive this object.
  Conversation(engine::Engine& engine, int64_t capacity);
  ~Conversation();

  // Brings it to this prompt (made with Purpose::generation). Returns the tokens that had to be computed, media
  // included. Of a sound in parts, only the parts that are new are computed. Error(data) if the prompt does not fit;
  // it is then unchanged.
  int64_t prefill(data::Prepared prompt);
  // Begins an answer to the prompt, of as many tokens as the options say and as it can still hold. Error(data) if
  // nothing was prefilled, or if it is full or has max_length.
  void begin_answer(const engine::GenerateOptions& options, std::vector<int32_t> stop_ids);
  // Its next token; nullopt once a stop token comes or all of them are written. Error(data) if the model's scores are
  // not finite, or no token may come.
  std::optional<int32_t> next();
  // The answer ends here.
  void end_answer();
  // Tokens that it holds.
  int64_t length() const { return engine_->length(text_); }
  int64_t capacity() const { return engine_->capacity(text_); }
  void reset();
  // The same with a new engine of its own, for a model that computes otherwise now.
  void renew(model::MultimodalLm& model);

 private:
  engine::GenerateOptions options_;  // of answers of an own engine
  std::optional<text::Tokenizer> tokenizer_;
  std::unique_ptr<engine::Engine> own_;
  engine::Engine* engine_;
  int64_t text_;
  std::deque<int32_t> written_;  // and not handed out yet
  bool answering_ = false;
};

}  // namespace antiphon::session
