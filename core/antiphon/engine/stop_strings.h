// Texts that end an answer, wherever the bounds of its tokens lie.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <antiphon/text/tokenizer/tokenizer.h>

namespace antiphon::engine {

// Where the one begins that is complete first; npos if none is there.
size_t find_stop(std::string_view text, const std::vector<std::string>& stops);
// The text before it; all of it if there is none.
std::string before_stop(std::string text, const std::vector<std::string>& stops);

// For an engine, which has tokens. Special tokens have no text.
class StopStrings {
 public:
  StopStrings(text::Tokenizer tokenizer, std::vector<std::string> stops);
  // Whether the last token of an answer completes one of them.
  bool completed_by_last(std::span<const int32_t> ids) const;

 private:
  text::Tokenizer tokenizer_;
  std::vector<std::string> stops_;
  size_t longest_ = 0;
};

// The text of an answer as it comes, token by token: what may be the beginning of a stop string waits until it is
// known.
class AnswerText {
 public:
  AnswerText(text::Tokenizer tokenizer, std::vector<std::string> stops);
  // What can be shown now; "" once a stop string was there.
  std::string push(int32_t id);
  // The rest.
  std::string finish();
  bool stopped() const { return stopped_; }

 private:
  std::string shown_of(std::string text);
  text::StreamDecoder decoder_;
  std::vector<std::string> stops_;
  std::string waiting_;
  bool stopped_ = false;
};

}  // namespace antiphon::engine
