// Tokenizers from Hugging Face directories: BPE over bytes (GPT-2 and on) or characters (Llama 2, Mistral), Unigram
// (T5, XLM-R) and WordPiece (BERT), the same ids as `tokenizers` and `transformers` give; and from the files of
// SentencePiece and tiktoken.
//
// Control tokens are the added tokens of the file, except those that are plain characters (only white space or
// SentencePiece's "▁", or one character): these are text. Truncation and padding in the file have no effect, as in
// transformers.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <antiphon/text/tokenizer/added_tokens.h>
#include <antiphon/text/tokenizer/pre_tokenizer.h>

namespace antiphon::text {

// In guarded text this character separates two others that must not form a control token; it produces no token.
constexpr std::string_view guard = "\xEF\xB7\x90";  // U+FDD0, a noncharacter

enum class Control {
  recognise,  // as transformers does with a prompt
  never,      // text from data: never yields a control token, whatever it says
  guarded,    // recognise, unless a guard is inside; then guards are removed from ordinary text
};

struct EncodeOptions {
  Control control = Control::recognise;
  bool add_special_tokens = false;  // what the post-processor adds, e.g. a token at the beginning
  // Some tokenizers put a space before a text, depending on what precedes it.
  Before before = Before::nothing;
};

struct TokenizerSource;

// Immutable, cheap to copy, all methods safe for many threads.
class Tokenizer {
 public:
  // Reads tokenizer.json or, in a directory without one, tokenizer.model and the like (tokenizer_source.h), and, if
  // present,  tokenizer_config.json, special_tokens_map.json, generation_config.json and, from config.json, the model's
  // type (llama_tokenizer.h). Config error, naming the field, for anything that is malformed or not supported.
  static Tokenizer load(const std::filesystem::path& directory);

  struct Files {
    std::string tokenizer, config = "{}", special_tokens = "{}", generation = "{}", model = "{}";  // JSON texts
    // Instead of `tokenizer`: a file of SentencePiece or tiktoken, and its name.
    std::string other = {}, other_name = {};
  };
  static Tokenizer from_files(const Files& files);

  // Data error if `text` is not well-formed UTF-8 or larger than 1 GiB.
  std::vector<int32_t> encode(std::string_view text, EncodeOptions options = {}) const;
  // Well-formed UTF-8. Ids without a token yield nothing (embedding tables are often larger than the vocabulary).
  std::string decode(std::span<const int32_t> ids, bool skip_special = true) const;
  // The bytes of one token, which may be a part of a character; "" for an id without a token.
  const std::string& bytes_of(int32_t id) const;
  // The same at the start of a text, where a space that stands for the word's beginning is left out.
  std::string first_bytes_of(int32_t id) const;
  // Whether a text still is at its start after a token, of all of which only these bytes came.
  bool starts_after(std::string_view bytes) const;

  // The highest id plus one.
  int64_t vocab_size() const;
  std::optional<int32_t> id_of(std::string_view token) const;
  // As in the file (byte alphabet); "" for an id without a token.
  const std::string& token_of(int32_t id) const;
  bool is_special(int32_t id) const;
  bool is_control(int32_t id) const;
  const std::vector<AddedToken>& added_tokens() const;
  // The tokens that end a turn or a text: eos_token of tokenizer_config.json, then eos_token_id of
  // generation_config.json; without duplicates, may be empty.
  const std::vector<int32_t>& eos_ids() const;
  std::optional<int32_t> bos_id() const;
  // The tokens that the post-processor puts before a text.
  const std::vector<int32_t>& prefix_ids() const;
  std::optional<int32_t> pad_id() const;
  // What stands for text without a token of its own.
  std::optional<int32_t> unknown_id() const;
  // What it is and where it comes from: "BPE over bytes, 49152 tokens, from tokenizer.json".
  std::string summary() const;
  // "bos_token" -> "<s>" and so on: names that a chat template may use.
  const std::map<std::string, std::string>& special_tokens() const;

  // Whether a control token can be found in `text` (UTF-8) as it is, guards included.
  bool has_control(std::string_view text) const;
  // The text as the model sees it, without pre-tokenization.
  std::string normalized(std::string_view text) const;

 private:
  struct State;
  static Tokenizer from_source(TokenizerSource source, const Files& files);
  explicit Tokenizer(std::shared_ptr<const State> state);
  std::shared_ptr<const State> state_;
};

// Decodes token by token, emitting only whole characters.
class StreamDecoder {
 public:
  explicit StreamDecoder(Tokenizer tokenizer, bool skip_special = true);
  // The text that this token completes; may be "".
  std::string push(int32_t id);
  // The remaining text, made well-formed. Resets the decoder.
  std::string finish();

 private:
  Tokenizer tokenizer_;
  bool skip_special_, at_start_ = true;
  std::string pending_;
};

}  // namespace antiphon::text
