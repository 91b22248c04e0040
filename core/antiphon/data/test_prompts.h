// For tests: the prompt builder of the tiny tokenizer and chat template in tests/e2e/tiny.
#pragma once
#include <antiphon/text/prompt.h>

namespace antiphon::data::testing {

inline text::PromptBuilder tiny_prompts() {
  const std::filesystem::path folder = std::string(ANTIPHON_SOURCE_DIR) + "/tests/e2e/tiny/tokenizer";
  auto tokenizer = text::Tokenizer::load(folder);
  auto chat_template = text::ChatTemplate::load(folder, tokenizer.special_tokens());
  return {std::move(tokenizer), std::move(chat_template)};
}

}  // namespace antiphon::data::testing
