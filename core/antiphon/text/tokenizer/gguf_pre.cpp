#include <antiphon/text/tokenizer/gguf_pre.h>

#include <map>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/text/tokenizer/word_patterns.h>

namespace antiphon::text {
namespace {

const std::map<std::string, GgufPre>& known_pres() {
  static const auto* known =
      new std::map<std::string, GgufPre>{{"gpt-2", {.then_gpt2 = true}},
                                         {"smollm", {.patterns = {R"(\p{N})"}, .then_gpt2 = true}},
                                         {"llama-bpe", {.patterns = {llama3_words()}, .ignore_merges = true}},
                                         {"llama3", {.patterns = {llama3_words()}, .ignore_merges = true}},
                                         {"qwen2", {.patterns = {qwen2_words()}, .nfc = true}},
                                         {"gpt-4o", {.patterns = {o200k_words()}}}};
  return *known;
}

}  // namespace

std::string gguf_pre_name(const GgufPre& steps) {
  for (const auto& [name, known] : known_pres()) {
    auto same = steps;
    same.nfc = known.nfc;
    if (same == known) return name;
  }
  return {};
}

const GgufPre& gguf_pre(const std::string& name, const std::string& where) {
  const auto found = known_pres().find(name);
  if (found != known_pres().end()) return found->second;
  std::string names;
  for (const auto& [known, pre] : known_pres()) names += (names.empty() ? "" : ", ") + known;
  fail(ErrorKind::config, fmt::format("{}: tokenizer.ggml.pre is '{}', expected {}", where, name, names),
       "name a directory with the model's tokenizer.json in model.llm.tokenizer");
}

}  // namespace antiphon::text
