// For tests: conversations as a template and a small tokenizer write them.
#pragma once
#include <antiphon/base/error.h>
#include <antiphon/text/prompt.h>
#include <antiphon/text/tokenizer/small_tokenizer_test.h>

#include <algorithm>
#include <functional>

namespace antiphon::text::testing {

inline constexpr const char* chatml =
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

inline PromptBuilder builder(const std::string& source = chatml, Tokenizer tokenizer = chat_tokenizer()) {
  return {tokenizer, ChatTemplate::from_source(source, tokenizer.special_tokens())};
}

inline Turn says(std::string role, std::string text) { return {std::move(role), {{std::move(text)}}}; }

// Supervised text.
inline std::string taught(const PromptBuilder& prompts, const Prompt& prompt) {
  std::vector<int32_t> ids;
  for (size_t i = 0; i < prompt.ids.size(); ++i)
    if (prompt.supervised[i]) ids.push_back(prompt.ids[i]);
  return prompts.tokenizer().decode(ids, false);
}

inline ptrdiff_t controls(const PromptBuilder& prompts, const Prompt& prompt) {
  return std::count_if(prompt.ids.begin(), prompt.ids.end(),
                       [&](int32_t id) { return prompts.tokenizer().is_control(id); });
}

inline std::string refusal(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace antiphon::text::testing
