#include <antiphon/text/tokenizer/tokenizer_source.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <vector>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/base/paths.h>
#include <antiphon/text/tokenizer/json_fields.h>
#include <antiphon/text/tokenizer/llama_tokenizer.h>
#include <antiphon/text/tokenizer/piece_table.h>
#include <antiphon/text/tokenizer/tekken_file.h>
#include <antiphon/text/tokenizer/tiktoken_file.h>
#include <antiphon/text/tokenizer/vocabulary.h>

namespace antiphon::text {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr uint64_t max_tokenizer_bytes = 128 << 20, max_config_bytes = 32 << 20;

// Classes whose ids are SentencePiece's; others move them or add steps of their own.
constexpr std::string_view sentencepiece_classes[] = {"",
                                                      "LlamaTokenizer",
                                                      "GemmaTokenizer",
                                                      "T5Tokenizer",
                                                      "SiglipTokenizer",
                                                      "PreTrainedTokenizer",
                                                      "TokenizersBackend"};

std::vector<fs::path> files_ending(const fs::path& directory, std::string_view end) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), none; !error && it != none; it.increment(error))
    if (it->path().filename().string().ends_with(end)) found.push_back(it->path());
  std::sort(found.begin(), found.end());
  return found;
}

// The tokens that tokenizer_config.json adds, in the order of their ids.
json added_by_config(const json& config) {
  std::map<int64_t, json> by_id;
  const JsonFields fields(config, "tokenizer_config.json");
  if (!fields.has("added_tokens_decoder")) return json::array();
  for (const auto& [key, description] : fields.object("added_tokens_decoder").items()) {
    int64_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id < 0 || id > kMaxTokenId ||
        !description.is_object())
      fail(ErrorKind::config,
           fmt::format("tokenizer_config.json: added_tokens_decoder.{}: expected an id and an object", key),
           kSaveAgain);
    by_id[id] = description;
    by_id[id]["id"] = id;
  }
  auto list = json::array();
  for (auto& [id, description] : by_id) list.push_back(std::move(description));
  return list;
}

// Those of tokens that the file has too say how they are found.
void add_tokens(TokenizerSource& source) {
  std::map<std::string, size_t> listed;
  auto& added = source.file["added_tokens"];
  for (size_t i = 0; i < added.size(); ++i) listed[added[i]["content"].get<std::string>()] = i;
  for (auto& token : added_by_config(source.config)) {
    const auto content = token.find("content");
    const auto known =
        content != token.end() && content->is_string() ? listed.find(content->get<std::string>()) : listed.end();
    known == listed.end() ? added.push_back(token) : added[known->second].update(token);
  }
}

void name_token(json& config, const char* name, const PieceTable& table, int64_t id) {
  if (id < 0 || id >= static_cast<int64_t>(table.pieces.size()) || config.contains(name)) return;
  if (table.pieces[static_cast<size_t>(id)].kind == PieceKind::control)
    config[name] = table.pieces[static_cast<size_t>(id)].text;
}

// What transformers' SiglipTokenizer does before SentencePiece: small letters, no ASCII punctuation, single spaces
// (transformers: models/siglip/tokenization_siglip.py, canonicalize_text).
json canonical(const json& pieces, const JsonFields& config) {
  const auto replace = [](const char* what, const char* by) {
    return json{{"type", "Replace"}, {"pattern", {{"Regex", what}}}, {"content", by}};
  };
  auto steps = json::array({replace("\xE2\x96\x81", " ")});
  if (config.flag("do_lower_case", true)) steps.push_back({{"type", "PythonLower"}});
  steps.push_back(replace(R"([!-/:-@\[-`{-~])", "")), steps.push_back(replace(R"([\s\x1C-\x1F]+)", " "));
  steps.push_back({{"type", "Strip"}, {"strip_left", true}, {"strip_right", true}});
  steps.push_back(pieces);
  return {{"type", "Sequence"}, {"normalizers", std::move(steps)}};
}

TokenizerSource of_sentencepiece(const Tokenizer::Files& files, json config, const json& model) {
  const auto kind = tokenizer_class(config, model);
  if (std::ranges::find(sentencepiece_classes, kind) == std::end(sentencepiece_classes))
    fail(ErrorKind::config,
         fmt::format("{}: transformers' {} does not give SentencePiece's ids", files.other_name, kind),
         "save tokenizer.json with AutoTokenizer.from_pretrained(...).save_pretrained(...)");
  auto table = read_sentencepiece(files.other, files.other_name);
  const bool siglip = kind == "SiglipTokenizer";
  if (siglip) table.add_dummy_prefix = true;  // whatever the file says
  const bool by_id = kind == "LlamaTokenizer" || kind == "GemmaTokenizer";
  table.as_library = !by_id;
  TokenizerSource source{tokenizer_json(table, files.other_name, by_id), std::move(config), true,
                         files.other_name + " (SentencePiece)"};
  if (siglip) {
    source.file["normalizer"] =
        canonical(source.file["normalizer"], JsonFields(source.config, "tokenizer_config.json"));
    source.config.emplace("add_eos_token", true);
  }
  name_token(source.config, "bos_token", table, table.bos);
  name_token(source.config, "eos_token", table, table.eos);
  name_token(source.config, "pad_token", table, table.pad);
  add_tokens(source);
  return source;
}

TokenizerSource of_tiktoken(const Tokenizer::Files& files, json config) {
  const bool own = config.contains("added_tokens_decoder");
  TokenizerSource source{tiktoken_json(files.other, files.other_name, own), std::move(config), true,
                         files.other_name + " (tiktoken)"};
  add_tokens(source);
  return source;
}

TokenizerSource of_tekken(const Tokenizer::Files& files, json config) {
  auto read = read_tekken(files.other);
  read.config.update(config);
  TokenizerSource source{std::move(read.file), std::move(read.config), true,
                         fmt::format("{} ({})", files.other_name, read.version), true};
  add_tokens(source);
  return source;
}

std::string read_if_there(const std::filesystem::path& path) {
  return path_exists(path, ErrorKind::config) ? read_file(path, ErrorKind::config, max_config_bytes) : "{}";
}

}  // namespace

void put_around(TokenizerSource& source) {
  if (!source.given_ids) return;
  const JsonFields config(source.config, "tokenizer_config.json");
  auto single = json::array(), tokens = json::object();
  const auto put = [&](const char* flag, const char* name) {
    if (!config.flag(flag, false) || !config.has(name)) return;
    const auto& value = config.any(name);
    const auto text = value.is_object() ? JsonFields(value, config.at(name)).text("content") : config.text(name);
    for (const auto& token : source.file["added_tokens"])
      if (token.value("content", json()) == text) {
        single.push_back({{"SpecialToken", {{"id", text}, {"type_id", 0}}}});
        tokens[text] = {{"id", text}, {"ids", {token["id"]}}, {"tokens", {text}}};
      }
  };
  put("add_bos_token", "bos_token");
  single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  put("add_eos_token", "eos_token");
  if (single.size() > 1)
    source.file["post_processor"] = {{"type", "TemplateProcessing"}, {"single", single}, {"special_tokens", tokens}};
}

fs::path tokenizer_file(const fs::path& directory) {
  for (const auto* name : {"tokenizer.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", kTekkenName})
    if (path_exists(directory / name, ErrorKind::config)) return directory / name;
  const auto ranks = files_ending(directory, ".tiktoken");
  if (ranks.size() == 1) return ranks.front();
  fail(ErrorKind::config,
       fmt::format("{} has no tokenizer.json, tokenizer.model, spiece.model or tekken.json, and {} *.tiktoken",
                   directory.string(), ranks.empty() ? "no" : "more than one"),
       "name a Hugging Face directory with a tokenizer, or make one with "
       "AutoTokenizer.from_pretrained(...).save_pretrained(...)");
}

// The stop ids are the model's; transformers takes those of config.json if there is no generation_config.json.
Tokenizer::Files tokenizer_files(const fs::path& directory) {
  auto generation = directory / "generation_config.json";
  if (!path_exists(generation, ErrorKind::config)) generation.replace_filename("config.json");
  const auto file = tokenizer_file(directory);
  Tokenizer::Files files{"", read_if_there(directory / "tokenizer_config.json"),
                         read_if_there(directory / "special_tokens_map.json"), read_if_there(generation),
                         read_if_there(directory / "config.json")};
  auto content = read_file(file, ErrorKind::config, max_tokenizer_bytes);
  if (file.filename() == "tokenizer.json") {
    files.tokenizer = std::move(content);
  } else {
    files.other = std::move(content);
    files.other_name = file.filename().string();
  }
  return files;
}

TokenizerSource tokenizer_source(const Tokenizer::Files& files) {
  auto config = parse_file(files.config, "tokenizer_config.json");
  const JsonFields is_object(config, "tokenizer_config.json");
  const auto model = parse_file(files.model, "config.json");
  if (files.other_name == kTekkenName) return of_tekken(files, std::move(config));
  if (!files.other_name.empty() && !is_tiktoken(files.other)) {
    auto source = of_sentencepiece(files, std::move(config), model);
    read_as_llama(source.file, source.config, model);
    return source;
  }
  if (!files.other_name.empty()) return of_tiktoken(files, std::move(config));
  TokenizerSource source{parse_file(files.tokenizer, "tokenizer.json"), std::move(config), false, "tokenizer.json"};
  read_as_llama(source.file, source.config, model);
  return source;
}

}  // namespace antiphon::text
