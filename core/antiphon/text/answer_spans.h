// Finds the answers in a rendered conversation, with a few renderings whatever its length.
//
// Marks are put around the texts of the turns, and the conversation is rendered with them and without: if both agree,
// the marks show the place of each turn. An answer begins where the template's opening of an answer ends, and no later
// than its text: a template may open a thought when it asks for an answer, and leave it out of finished ones.
#pragma once
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <antiphon/text/template/chat_template.h>
#include <antiphon/text/tokenizer/tokenizer.h>

namespace antiphon::text {

struct AnswerSpan {
  size_t begin, end;  // bytes: what the turn says, up to and including the token that ends it
};

struct RenderedConversation {
  std::string text;
  std::vector<AnswerSpan> answers;  // in order
};

// `messages`: {"role", "content"}, with content a string or a list of parts, as the template wants it. Config error if
// an answer cannot be found, or does not begin as the template opens it.
RenderedConversation render_conversation(const ChatTemplate& chat_template, const Tokenizer& tokenizer,
                                         const nlohmann::ordered_json& messages, const ChatTemplate::Options& options);

}  // namespace antiphon::text
