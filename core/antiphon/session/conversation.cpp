#include <antiphon/session/conversation.h>

namespace antiphon::session {
namespace {

// Tokens of a text and, in their worst case, of its beams.
int64_t room_for(const engine::GenerateOptions& options, int64_t capacity) {
  const int64_t beams = options.beams() == 1 ? 0 : options.beams();
  const int64_t answer = std::min(capacity, options.limit(0)) + 2 * DecoderState::kBlockSize;
  return DecoderState::blocks_for(capacity) * DecoderState::kBlockSize + beams * answer;
}

std::unique_ptr<engine::Engine> engine_for(model::MultimodalLm& model, int64_t capacity,
                                           const engine::GenerateOptions& options,
                                           const std::optional<text::Tokenizer>& tokenizer) {
  return std::make_unique<engine::Engine>(model, room_for(options, std::min(capacity, model.context())), tokenizer);
}

}  // namespace

Conversation::Conversation(model::MultimodalLm& model, int64_t capacity, const engine::GenerateOptions& options,
                           std::optional<text::Tokenizer> tokenizer)
    : options_(options),
      tokenizer_(std::move(tokenizer)),
      own_(engine_for(model, capacity, options_, tokenizer_)),
      engine_(own_.get()),
      text_(engine_->open(capacity)) {}

Conversation::Conversation(engine::Engine& engine, int64_t capacity) : engine_(&engine), text_(engine.open(capacity)) {}

Conversation::~Conversation() { engine_->close(text_); }

int64_t Conversation::prefill(data::Prepared prompt) {
  const auto computed = engine_->read(text_, std::move(prompt));
  end_answer();
  return computed;
}

void Conversation::begin_answer(const engine::GenerateOptions& options, std::vector<int32_t> stop_ids) {
  engine_->answer(text_, options, std::move(stop_ids), [this](int32_t id) {
    written_.push_back(id);
    return true;
  });
  answering_ = true;
}

std::optional<int32_t> Conversation::next() {
  while (answering_ && written_.empty()) {
    if (const auto answer = engine_->take(text_)) {
      answering_ = false;
      if (answer->failure) std::rethrow_exception(answer->failure);
    } else {
      engine_->step();
    }
  }
  if (written_.empty()) return std::nullopt;
  const auto id = written_.front();
  written_.pop_front();
  return id;
}

void Conversation::end_answer() {
  engine_->end(text_);
  written_.clear();
  answering_ = false;
}

void Conversation::reset() {
  end_answer();
  const int64_t capacity = engine_->capacity(text_);
  engine_->close(text_);
  text_ = engine_->open(capacity);
}

// The old one stays until the new one is there: making it may fail.
void Conversation::renew(model::MultimodalLm& model) {
  end_answer();
  const int64_t capacity = engine_->capacity(text_);
  auto engine = engine_for(model, capacity, options_, tokenizer_);
  const int64_t text = engine->open(capacity);
  engine_->close(text_);
  own_ = std::move(engine), engine_ = own_.get(), text_ = text;
}

}  // namespace antiphon::session
