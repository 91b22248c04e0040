#include <antiphon/text/tokenizer/tiktoken_file.h>

#include <charconv>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/base64.h>
#include <antiphon/base/error.h>
#include <antiphon/text/tokenizer/byte_alphabet.h>
#include <antiphon/text/tokenizer/vocabulary.h>
#include <antiphon/text/tokenizer/word_patterns.h>
#include <antiphon/text/unicode.h>

namespace antiphon::text {
namespace {

using nlohmann::json;
using Special = std::vector<std::pair<std::string, int64_t>>;

struct Encoding {
  std::string pattern;
  Special special;
  bool nfc = false;
};

Encoding llama3(int64_t size) {
  static constexpr const char* named[] = {"<|begin_of_text|>",
                                          "<|end_of_text|>",
                                          "<|reserved_special_token_0|>",
                                          "<|reserved_special_token_1|>",
                                          "<|finetune_right_pad_id|>",
                                          "<|step_id|>",
                                          "<|start_header_id|>",
                                          "<|end_header_id|>",
                                          "<|eom_id|>",
                                          "<|eot_id|>",
                                          "<|python_tag|>",
                                          "<|image|>"};
  Encoding encoding{llama3_words(), {}};
  int64_t next = size;
  for (const auto* name : named) encoding.special.emplace_back(name, next++);
  for (int i = 2; next < size + 256; ++i)
    encoding.special.emplace_back(fmt::format("<|reserved_special_token_{}|>", i), next++);
  return encoding;
}

Encoding qwen(int64_t size) {
  Encoding encoding{
      qwen2_words(), {{"<|endoftext|>", size}, {"<|im_start|>", size + 1}, {"<|im_end|>", size + 2}}, true};
  for (int i = 0; i < 205; ++i) encoding.special.emplace_back(fmt::format("<|extra_{}|>", i), size + 3 + i);
  return encoding;
}

Encoding cl100k() {
  return {cl100k_words(),
          {{"<|endoftext|>", 100257},
           {"<|fim_prefix|>", 100258},
           {"<|fim_middle|>", 100259},
           {"<|fim_suffix|>", 100260},
           {"<|endofprompt|>", 100276}}};
}

Encoding encoding_of(const std::string& name, int64_t size) {
  if (name == "tokenizer.model") return llama3(size);
  if (name == "qwen.tiktoken") return qwen(size);
  if (name == "cl100k_base.tiktoken") return cl100k();
  if (name == "o200k_base.tiktoken") return {o200k_words(), {{"<|endoftext|>", 199999}, {"<|endofprompt|>", 200018}}};
  if (name == "r50k_base.tiktoken" || name == "p50k_base.tiktoken") return {gpt2_words(), {{"<|endoftext|>", 50256}}};
  fail(ErrorKind::config, fmt::format("{}: the pattern that belongs to these ranks is not known", name),
       "call the file tokenizer.model (Llama 3), qwen.tiktoken, cl100k_base.tiktoken, o200k_base.tiktoken, "
       "r50k_base.tiktoken or p50k_base.tiktoken, whichever it is");
}

struct RankLine {
  std::string token;  // in the byte alphabet
  int64_t rank;
};

std::optional<RankLine> parse_line(std::string_view line) {
  const auto space = line.find(' ');
  if (space == 0 || space == std::string_view::npos) return std::nullopt;
  const auto bytes = from_base64(line.substr(0, space));
  RankLine parsed{{}, -1};
  const auto [end, error] = std::from_chars(line.data() + space + 1, line.data() + line.size(), parsed.rank);
  if (!bytes || bytes->empty() || error != std::errc() || end != line.data() + line.size()) return std::nullopt;
  if (parsed.rank < 0 || parsed.rank > kMaxTokenId) return std::nullopt;
  for (const unsigned char byte : *bytes) append_utf8(parsed.token, byte_alphabet()[byte]);
  return parsed;
}

json read_ranks(std::string_view bytes, const std::string& name) {
  auto vocabulary = json::object();
  for (size_t line = 1; !bytes.empty(); ++line) {
    const auto end = std::min(bytes.find('\n'), bytes.size());
    auto text = bytes.substr(0, end);
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
    if (text.ends_with('\r')) text.remove_suffix(1);
    if (text.empty()) continue;
    auto parsed = parse_line(text);
    if (!parsed || !vocabulary.emplace(parsed->token, parsed->rank).second)
      fail(ErrorKind::config, fmt::format("{}:{}: expected new bytes in base64, a space and a rank", name, line),
           "fetch the file again");
  }
  return vocabulary;
}

json model_of(json vocabulary) {
  std::vector<int64_t> ranks;
  for (const auto& [token, rank] : vocabulary.items()) {
    const auto id = rank.get<size_t>();
    if (id >= ranks.size()) ranks.resize(id + 1, -1);
    ranks[id] = rank.get<int64_t>();
  }
  return {{"type", "BPE"}, {"vocab", std::move(vocabulary)}, {"ranks", ranks}, {"ignore_merges", true}};
}

}  // namespace

bool is_tiktoken(std::string_view bytes) {
  const auto line = bytes.substr(0, bytes.find('\n'));
  return line.size() < 1000 && parse_line(line.ends_with('\r') ? line.substr(0, line.size() - 1) : line).has_value();
}

json tiktoken_json(std::string_view bytes, const std::string& name, bool own_special) {
  auto model = model_of(read_ranks(bytes, name));
  const auto encoding = encoding_of(name, static_cast<int64_t>(model["ranks"].size()));
  auto added = json::array();
  if (!own_special)
    for (const auto& [token, id] : encoding.special)
      added.push_back({{"id", id}, {"content", token}, {"special", true}, {"normalized", false}});
  const json byte_level = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  const json split = {
      {"type", "Split"}, {"pattern", {{"Regex", encoding.pattern}}}, {"behavior", "Removed"}, {"invert", true}};
  return {{"version", "1.0"},
          {"added_tokens", added},
          {"normalizer", encoding.nfc ? json({{"type", "NFC"}}) : json()},
          {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", {split, byte_level}}}},
          {"decoder", byte_level},
          {"post_processor", nullptr},
          {"model", std::move(model)}};
}

}  // namespace antiphon::text
