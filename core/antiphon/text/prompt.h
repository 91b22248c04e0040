// Conversations as token ids, for training and generation.
//
// Text from data never becomes a control token, whatever it says, except <think> and </think> around the thought that
// an assistant turn begins with; everything else has the same ids as transformers' apply_chat_template gives. Each
// assistant turn is tokenized on its own, after what precedes it, and so has the same ids in training as in generation.
#pragma once
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
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
  int32_t media = -1;  // >= 0: index of the media item; `text` is then unused
  // The chat template's name for the item ("image"), and the token that it writes for one ("<image>"). Without a token
  // the item stays at its place in the text, whatever the template knows.
  std::string type = {}, placeholder = {};
  // What stands around the item in the text in place of that token, as processors write it; empty: the item alone.
  std::string begin = {}, end = {};
};

// Of the one turn of a sample that is not a conversation: text to learn as it is, with media between.
constexpr std::string_view document_role = "document";

struct Turn {
  std::string role;  // system, developer, user, assistant or tool; or document_role
  std::vector<Part> parts;
  std::string reasoning = {};  // an assistant's thought, given to the template as reasoning_content; empty: none
  bool trained = true;         // for an assistant's turn: it is supervised
  // JSON texts, given to the template as they are; empty: none.
  std::string tool_calls = {};  // an assistant's: a list of objects
  std::string more = {};        // an object of what else the message has: "name", "tool_call_id", "thinking"
  std::string given = {};       // an assistant's: text that its text begins with, and that is not supervised
};

struct Prompt {
  // Token ids; the place of media item i is the one entry -1 - i, which the model expands.
  std::vector<int32_t> ids;
  // Parallel to ids: what an assistant turn says, up to and including its end-of-turn token (the first of
  // Tokenizer::eos_ids after its text; if the template writes none, all that it writes for the turn). A turn begins
  // after the part that it shares with the template's opening of an answer: not all of it if the template opens a
  // thought and leaves it out of finished turns.
  std::vector<bool> supervised;
};

// What a conversation says of its medium to models without a template: its assistant's texts, of turns that are
// trained.
template <class Turns>
std::string caption_of(const Turns& turns) {
  std::string text;
  for (const auto& turn : turns)
    for (const auto& part : turn.parts)
      if (turn.role == "assistant" && turn.trained && part.media < 0) text += part.text;
  return text;
}
// Its ids, with what the tokenizer's post-processor puts around it.
std::vector<int32_t> caption_ids(const Tokenizer& tokenizer, const std::string& text);

// Immutable; all methods are safe for many threads.
class PromptBuilder {
 public:
  // `as_processor`: as transformers' processors of multimodal models, which begin a text with what the tokenizer's
  // post-processor puts first unless the template has written it; its tokenizers leave that to the template.
  PromptBuilder(Tokenizer tokenizer, ChatTemplate chat_template, bool as_processor = false);

  // Without a template, for models that read a text by itself, beside a medium: training() gives the places of the
  // media, then what assistant turns say as one text, with what the tokenizer's post-processor puts around it, all
  // supervised; generation() is a config error. `padded` > 0: tokens `pad_id` behind each text up to so many.
  explicit PromptBuilder(Tokenizer tokenizer, int64_t padded = 0, int64_t pad_id = 0);

  using Time = std::chrono::system_clock::time_point;  // what the template takes as the current time
  // The whole conversation. Data error if a turn is malformed, if there are more than 10,000, if the time of the sample
  // is over before all of them are tokens (SampleTime), if one has a thought that the template does not support, or if
  // the template refuses them, writes nothing or loses media; config error if its answers cannot be found
  // (answer_spans.h), or if the template opens a thought and a turn has a given text, which would stand in it. Data
  // error if the template writes anything between the opening of an answer and its given text.
  // `tools`: a JSON text, the list that apply_chat_template takes as tools;
  // Data error if the template shows no tools, or no calls of them, and there are some.
  //
  // A document is what the tokenizer's post-processor puts first, its text, which is supervised, with media between as
  // the template writes them between two texts, and the first of Tokenizer::eos_ids.
  Prompt training(const std::vector<Turn>& turns, Time now = std::chrono::system_clock::now(),
                  const std::string& tools = {}) const;
  bool is_captions() const { return !template_; }
  // Whether there is a template, and it reads such a key of messages.
  bool reads(std::string_view key) const { return template_ && template_->reads_of_messages(key); }
  // The same plus the opening of the assistant's answer to the last turn, which must not be the assistant's, and the
  // text that is given of it.
  Prompt generation(const std::vector<Turn>& turns, Time now = std::chrono::system_clock::now(),
                    const std::string& tools = {}, const std::string& given = {}) const;

  // Whether the template ends an answer with a token that ends a turn: else a model cannot learn to stop. Tried with a
  // question and an answer, then with a system turn before them; true if the template refuses both, as it cannot be
  // determined.
  bool ends_answers() const;

  const Tokenizer& tokenizer() const { return tokenizer_; }

 private:
  // Media that have yet to be placed, in order, by the id of their placeholder token: those that stand alone in its
  // place, and those with text around them.
  using Places = std::map<int32_t, std::deque<const Part*>>;
  struct Waiting {
    Places alone, surrounded;
    bool empty() const { return alone.empty() && surrounded.empty(); }
  };

  Prompt captioned(const std::vector<Turn>& turns) const;
  Prompt document(const Turn& turn) const;
  std::string between_texts(const Part& medium) const;
  Prompt build(const std::vector<Turn>& turns, bool answer, Time now, const std::string& tools,
               const std::string& given = {}) const;
  size_t length_of_given(const Turn& turn, std::string_view said) const;
  void check_opening(std::string_view opening, const std::string& given) const;
  Waiting waiting(const std::vector<Turn>& turns) const;
  nlohmann::ordered_json messages_of(const std::vector<Turn>& turns, bool lists) const;
  std::string guarded(const Turn& turn, std::string_view text, bool first) const;
  nlohmann::ordered_json guarded_json(const std::string& text, const char* name) const;
  nlohmann::ordered_json guarded_json(const nlohmann::ordered_json& value) const;
  nlohmann::ordered_json content_of(const Turn& turn) const;
  bool ends_with_eos(const Prompt& prompt) const;
  Before before(const Prompt& prompt) const;
  const Part& taken(Places::value_type& waiting) const;
  std::string surrounded(std::string_view text, Places& waiting) const;
  void append(std::string_view text, bool supervised, Waiting& waiting, Prompt& prompt) const;

  Tokenizer tokenizer_;
  std::optional<ChatTemplate> template_;  // nullopt: of captions
  DataGuard guard_;
  bool as_processor_ = false;
  int64_t padded_ = 0, pad_id_ = 0;
};

}  // namespace antiphon::text
