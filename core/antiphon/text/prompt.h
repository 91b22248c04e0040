// Conversations as token ids: what a model is trained on and asked with.
//
// Text out of data never becomes a control token, whatever it says, but for <think> and </think> around the thought
// that an assistant turn begins with; everything else is id for id what transformers' apply_chat_template gives. Each
// assistant turn is tokenized on its own, after what precedes it, and so comes out in training as it does in
// generation.
#pragma once
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <antiphon/text/template/chat_template.h>
#include <antiphon/text/template/data_guard.h>
#include <antiphon/text/tokenizer/tokenizer.h>

namespace antiphon::text {

// A piece of text, or the place of a media item.
struct Part {
  std::string text;
  int32_t media = -1;  // >= 0: number of the media item; `text` is then unused
  // What the chat template knows the item as ("image"), and the token that it writes for one ("<image>"). Without a
  // token the item stands where it stands in the text, whatever the template knows.
  std::string type = {}, placeholder = {};
};

struct Turn {
  std::string role;  // system, developer, user, assistant or tool
  std::vector<Part> parts;
  std::string reasoning = {};  // an assistant's thought, for the template as reasoning_content; empty: none
  bool trained = true;         // of an assistant's turn: it is supervised
};

struct Prompt {
  // Token ids; the place of media item i is the one entry -1 - i, which the model expands.
  std::vector<int32_t> ids;
  // Parallel to ids: what an assistant turn says, up to and including its end-of-turn token (the first of
  // Tokenizer::eos_ids after its text; where the template writes none, all that it writes for the turn). A turn begins
  // as far as the template's opening of an answer goes: one that opens a thought, and leaves it out of finished turns,
  // shares less than all of it.
  std::vector<bool> supervised;
};

// Immutable; all methods are safe for many threads.
class PromptBuilder {
 public:
  // `as_processor`: as transformers' processors of multimodal models, which begin a text with what the tokenizer's
  // post-processor puts first where the template has not written it; its tokenizers leave that to the template.
  PromptBuilder(Tokenizer tokenizer, ChatTemplate chat_template, bool as_processor = false);

  using Time = std::chrono::system_clock::time_point;  // what the template takes for now
  // The whole conversation. Data error where a turn is malformed, where there are more than 10,000, where one has a
  // thought of which the template knows nothing, and where it refuses them, writes nothing or loses media; config error
  // where its answers cannot be found (answer_spans.h).
  Prompt training(const std::vector<Turn>& turns, Time now = std::chrono::system_clock::now()) const;
  // The same, and the opening of the assistant's answer to the last turn, which must not be the assistant's.
  Prompt generation(const std::vector<Turn>& turns, Time now = std::chrono::system_clock::now()) const;

  // Whether the template ends an answer with a token that ends a turn: else a model cannot learn to stop. Asked with a
  // question and an answer, then with a system turn before them; true where the template refuses both, as it cannot be
  // told.
  bool ends_answers() const;

  const Tokenizer& tokenizer() const { return tokenizer_; }

 private:
  // Media that have yet to be placed, in order, by the id of the token that stands for them.
  using Waiting = std::map<int32_t, std::deque<int32_t>>;

  Prompt build(const std::vector<Turn>& turns, bool answer, Time now) const;
  Waiting waiting(const std::vector<Turn>& turns) const;
  nlohmann::ordered_json messages_of(const std::vector<Turn>& turns, bool lists) const;
  std::string guarded(const Turn& turn, std::string_view text, bool first) const;
  nlohmann::ordered_json content_of(const Turn& turn) const;
  bool ends_with_eos(const Prompt& prompt) const;
  Before before(const Prompt& prompt) const;
  void append(std::string_view text, bool supervised, Waiting& waiting, Prompt& prompt) const;

  Tokenizer tokenizer_;
  ChatTemplate template_;
  DataGuard guard_;
  bool as_processor_;
};

}  // namespace antiphon::text
