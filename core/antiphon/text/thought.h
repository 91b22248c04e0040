// The thought that an assistant's turn may begin with: <think>…</think>, as Qwen3, DeepSeek-R1 and others write it.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <antiphon/text/tokenizer/tokenizer.h>

namespace antiphon::text {

constexpr std::string_view thought_begins = "<think>", thought_ends = "</think>";

struct ThoughtAndAnswer {
  std::string thought, answer;
};

// `opened`: the thought began before this text. A thought without an end leaves no answer. Without a thought, the
// answer is the text as it is; after one, white space before it is not part of it.
ThoughtAndAnswer split_thought(std::string_view text, bool opened = false);
// The same of an answer as token ids; of the marks too if they are special tokens, which decode() leaves out.
ThoughtAndAnswer split_thought(std::span<const int32_t> ids, const Tokenizer& tokenizer, bool opened = false);
// Whether a prompt ends in the beginning of a thought: some chat templates open one for the model.
bool opens_thought(std::span<const int32_t> prompt, const Tokenizer& tokenizer);

}  // namespace antiphon::text
