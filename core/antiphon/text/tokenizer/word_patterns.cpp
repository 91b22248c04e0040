#include <antiphon/text/tokenizer/word_patterns.h>

namespace antiphon::text {
namespace {

// Words with at most one sign before them, digits, other signs, line ends, spaces.
std::string words_with(const std::string& digits, const std::string& at_end) {
  return R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|)" + digits + R"(| ?[^\s\p{L}\p{N}]+[\r\n]*)" +
         at_end + R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
}

}  // namespace

std::string gpt2_words() { return R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"; }

std::string llama3_words() { return words_with(R"(\p{N}{1,3})", ""); }

std::string qwen2_words() { return words_with(R"(\p{N})", ""); }

std::string cl100k_words() { return words_with(R"(\p{N}{1,3})", R"(|\s+(?![\s\S]))"); }

std::string o200k_words() {
  const std::string lower = R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])", upper = R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])",
                    start = R"([^\r\n\p{L}\p{N}]?)", end = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?)";
  return start + upper + "*" + lower + "+" + end + "|" + start + upper + "+" + lower + "*" + end +
         R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
}

}  // namespace antiphon::text
