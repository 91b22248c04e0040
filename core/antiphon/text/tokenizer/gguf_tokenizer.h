// The tokenizer in the metadata of a GGUF file, under the keys tokenizer.ggml.* (ggml-org/ggml, docs/gguf.md).
#pragma once
#include <filesystem>

#include <antiphon/text/tokenizer/tokenizer_source.h>

namespace antiphon::text {

// tokenizer.ggml.model "gpt2": BPE over bytes with the pattern that tokenizer.ggml.pre names; "llama": SentencePiece's
// BPE by scores; "t5": its Unigram. Added tokens are those of the types control, user defined and unknown. Config error
// for others, and lists that do not fit together.
TokenizerSource gguf_tokenizer(const std::filesystem::path& path);

// The stop ids that the file names, as generation_config.json has them: the end of a text and of a turn, or of the
// latter the control tokens that are called as one.
nlohmann::json gguf_generation(const std::filesystem::path& path);

}  // namespace antiphon::text
