// A small byte-level BPE tokenizer for tests: all bytes (ids 0 to 255), then a few merges, then added tokens.
#pragma once
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <antiphon/text/tokenizer/byte_alphabet.h>
#include <antiphon/text/tokenizer/tokenizer.h>
#include <antiphon/text/unicode.h>

namespace antiphon::text::testing {

inline std::string letters(std::string_view bytes) {
  std::string out;
  for (unsigned char byte : bytes) append_utf8(out, byte_alphabet()[byte]);
  return out;
}

// Merges are given as bytes, e.g. {"h", "e"}; each makes the next id from 256 on.
inline nlohmann::json tokenizer_json(const std::vector<std::pair<std::string, std::string>>& merges,
                                     const std::vector<std::string>& special) {
  auto vocabulary = nlohmann::json::object();
  auto list = nlohmann::json::array(), added = nlohmann::json::array();
  for (int byte = 0; byte < 256; ++byte) vocabulary[letters(std::string(1, static_cast<char>(byte)))] = byte;
  int next = 256;
  for (const auto& [left, right] : merges) {
    vocabulary[letters(left + right)] = next++;
    list.push_back({letters(left), letters(right)});
  }
  for (const auto& token : special)
    added.push_back({{"id", next++},
                     {"content", token},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added},
          {"normalizer", nullptr},
          {"pre_tokenizer",
           {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}}},
          {"post_processor", nullptr},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", ""},
            {"end_of_word_suffix", ""},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"ignore_merges", false},
            {"vocab", vocabulary},
            {"merges", list}}}};
}

inline nlohmann::json chat_tokenizer_json() {
  return tokenizer_json({{"h", "e"}, {"l", "l"}, {"he", "ll"}, {"hell", "o"}, {" ", "w"}, {"\n", "\n"}},
                        {"<|im_start|>", "<|im_end|>"});
}

inline Tokenizer tokenizer_of(const nlohmann::json& file, const std::string& config = "{}",
                              const std::string& generation = "{}") {
  return Tokenizer::from_files({file.dump(), config, "{}", generation});
}

inline Tokenizer chat_tokenizer() {
  return tokenizer_of(chat_tokenizer_json(),
                      R"({"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<|im_end|>"})");
}

}  // namespace antiphon::text::testing
