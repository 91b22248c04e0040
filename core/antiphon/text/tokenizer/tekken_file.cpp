#include <antiphon/text/tokenizer/tekken_file.h>

#include <charconv>
#include <set>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/base64.h>
#include <antiphon/base/error.h>
#include <antiphon/base/shown.h>
#include <antiphon/text/tokenizer/byte_alphabet.h>
#include <antiphon/text/tokenizer/json_fields.h>
#include <antiphon/text/tokenizer/vocabulary.h>
#include <antiphon/text/unicode.h>

namespace antiphon::text {
namespace {

using nlohmann::json;

constexpr const char* kFetchTekken = "fetch tekken.json again";
constexpr int64_t kMostControls = 1 << 14;

// Up to v7 a file may leave them out.
constexpr const char* kUsualControls[] = {"<unk>",
                                          "<s>",
                                          "</s>",
                                          "[INST]",
                                          "[/INST]",
                                          "[AVAILABLE_TOOLS]",
                                          "[/AVAILABLE_TOOLS]",
                                          "[TOOL_RESULTS]",
                                          "[/TOOL_RESULTS]",
                                          "[TOOL_CALLS]",
                                          "[IMG]",
                                          "<pad>",
                                          "[IMG_BREAK]",
                                          "[IMG_END]",
                                          "[PREFIX]",
                                          "[MIDDLE]",
                                          "[SUFFIX]",
                                          "[SYSTEM_PROMPT]",
                                          "[/SYSTEM_PROMPT]",
                                          "[TOOL_CONTENT]"};

struct Sizes {
  int64_t all = 0, controls = 0;
};

int64_t count_of(const JsonFields& config, const char* name, int64_t most) {
  const auto count = config.integer(name);
  if (count < 1 || count > most)
    fail(ErrorKind::config, fmt::format("{} is {}, expected 1 to {}", config.at(name), count, most), kFetchTekken);
  return count;
}

Sizes sizes_of(const JsonFields& config) {
  const Sizes sizes{count_of(config, "default_vocab_size", kMaxTokenId),
                    count_of(config, "default_num_special_tokens", kMostControls)};
  if (sizes.controls >= sizes.all)
    fail(ErrorKind::config,
         fmt::format("{} is {}, and all tokens are {}", config.at("default_num_special_tokens"), sizes.controls,
                     sizes.all),
         kFetchTekken);
  return sizes;
}

// "v7" -> 7; 0 for what is not a version.
int version_number(std::string_view version) {
  int number = 0;
  if (!version.starts_with('v')) return 0;
  std::from_chars(version.data() + 1, version.data() + version.size(), number);
  return number;
}

std::vector<std::string> listed_controls(const JsonFields& file) {
  const JsonFields config(file.object("config"), file.at("config"));
  if (!file.has("special_tokens") && version_number(config.text("version")) <= 7)
    return {std::begin(kUsualControls), std::end(kUsualControls)};
  const auto& list = file.array("special_tokens");
  std::vector<std::string> names(list.size());
  for (size_t i = 0; i < list.size(); ++i) {
    const JsonFields token(list[i], fmt::format("{}: special_tokens[{}]", kTekkenName, i));
    const auto rank = token.integer("rank");
    const bool has_place = rank >= 0 && static_cast<size_t>(rank) < names.size();
    if (!has_place || !names[static_cast<size_t>(rank)].empty() || token.text("token_str").empty())
      fail(
          ErrorKind::config,
          fmt::format("{} is {}, expected each of 0 to {} once, with a text", token.at("rank"), rank, names.size() - 1),
          kFetchTekken);
    names[static_cast<size_t>(rank)] = token.text("token_str");
  }
  return names;
}

// In the order of their ids, those without a name after the others.
json controls_of(const JsonFields& file, int64_t count) {
  auto names = listed_controls(file);
  if (static_cast<int64_t>(names.size()) > count)
    fail(ErrorKind::config,
         fmt::format("{} has {} entries, and config.default_num_special_tokens is {}", file.at("special_tokens"),
                     names.size(), count),
         kFetchTekken);
  for (auto id = static_cast<int64_t>(names.size()); id < count; ++id) names.push_back(fmt::format("<SPECIAL_{}>", id));
  std::set<std::string> seen;
  auto added = json::array();
  for (int64_t id = 0; id < count; ++id) {
    const auto& name = names[static_cast<size_t>(id)];
    if (!seen.insert(name).second)
      fail(ErrorKind::config, fmt::format("{}: \"{}\" is there twice", file.at("special_tokens"), shown(name)),
           kFetchTekken);
    added.push_back({{"id", id}, {"content", name}, {"special", true}, {"normalized", false}});
  }
  return added;
}

std::string spelled(const JsonFields& token) {
  const auto bytes = from_base64(token.text("token_bytes"));
  if (!bytes || bytes->empty())
    fail(ErrorKind::config, fmt::format("{}: expected bytes in base64", token.at("token_bytes")), kFetchTekken);
  std::string letters;
  for (const unsigned char byte : *bytes) append_utf8(letters, byte_alphabet()[byte]);
  return letters;
}

// What is above the size of the vocabulary is left out, as mistral-common leaves it out.
json ranks_of(const JsonFields& file, const Sizes& sizes) {
  const auto& list = file.array("vocab");
  const auto wanted = static_cast<size_t>(sizes.all - sizes.controls);
  if (list.size() < wanted)
    fail(ErrorKind::config, fmt::format("{} has {} entries, expected {}", file.at("vocab"), list.size(), wanted),
         kFetchTekken);
  auto vocabulary = json::object();
  std::vector<int64_t> ranks(static_cast<size_t>(sizes.controls), -1);
  for (size_t rank = 0; rank < wanted; ++rank) {
    const JsonFields token(list[rank], fmt::format("{}: vocab[{}]", kTekkenName, rank));
    if (token.integer("rank") != static_cast<int64_t>(rank))
      fail(ErrorKind::config, fmt::format("{} is {}, expected {}", token.at("rank"), token.integer("rank"), rank),
           kFetchTekken);
    if (!vocabulary.emplace(spelled(token), sizes.controls + static_cast<int64_t>(rank)).second)
      fail(ErrorKind::config, fmt::format("{}: the bytes are there twice", token.at("token_bytes")), kFetchTekken);
    ranks.push_back(static_cast<int64_t>(rank));
  }
  return {{"type", "BPE"}, {"vocab", std::move(vocabulary)}, {"ranks", ranks}, {"ignore_merges", true}};
}

// Those that there are; whoever reads them may say others.
json names_in(const json& controls) {
  auto config = json::object();
  const std::pair<const char*, const char*> names[] = {
      {"bos_token", "<s>"}, {"eos_token", "</s>"}, {"unk_token", "<unk>"}, {"pad_token", "<pad>"}};
  for (const auto& [name, content] : names)
    for (const auto& token : controls)
      if (token["content"] == content) config[name] = content;
  return config;
}

}  // namespace

TekkenTokenizer read_tekken(std::string_view bytes) {
  const auto parsed = parse_file(bytes, kTekkenName);
  const JsonFields file(parsed, kTekkenName);
  const JsonFields config(file.object("config"), file.at("config"));
  const auto sizes = sizes_of(config);
  const auto controls = controls_of(file, sizes.controls);
  const json byte_level = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  const json split = {
      {"type", "Split"}, {"pattern", {{"Regex", config.text("pattern")}}}, {"behavior", "Removed"}, {"invert", true}};
  json tokenizer = {{"version", "1.0"},
                    {"added_tokens", controls},
                    {"normalizer", nullptr},
                    {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", {split, byte_level}}}},
                    {"decoder", byte_level},
                    {"post_processor", nullptr},
                    {"model", ranks_of(file, sizes)}};
  return {std::move(tokenizer), names_in(controls), config.text("version")};
}

}  // namespace antiphon::text
