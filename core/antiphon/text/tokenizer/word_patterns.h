// Patterns that cut a text into words, of models whose files name them without spelling them out.
#pragma once
#include <string>

namespace antiphon::text {

// openai/gpt-2, src/encoder.py.
std::string gpt2_words();
// meta-llama/llama-models, models/llama3/tokenizer.py.
std::string llama3_words();
// Qwen's tokenization_qwen.py: as Llama 3's, digits one by one.
std::string qwen2_words();
// openai/tiktoken, tiktoken_ext/openai_public.py (0.14). In cl100k's, white space at the very end of a text is one
// word, line ends or not.
std::string cl100k_words();
std::string o200k_words();

}  // namespace antiphon::text
