#include <antiphon/text/tokenizer/gguf_tokenizer.h>

#include <algorithm>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/gguf.h>
#include <antiphon/text/tokenizer/gguf_pre.h>
#include <antiphon/text/tokenizer/piece_table.h>
#include <antiphon/text/tokenizer/vocabulary.h>

namespace antiphon::text {
namespace {

using nlohmann::json;

constexpr std::string_view kTurnEnds[] = {"<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>"};

class GgufTokens {
 public:
  explicit GgufTokens(const GgufFile& file) : file_(file) {
    const auto& tokens = list("tokens");
    if (tokens.empty() || tokens.size() > static_cast<size_t>(kMaxTokenId) ||
        !std::all_of(tokens.begin(), tokens.end(), [](const json& token) { return token.is_string(); }))
      refuse("tokens", "a list of texts");
  }

  TokenizerSource source() const {
    const auto model = text("model", "");
    TokenizerSource source{json(), config(), true, fmt::format("{} ({})", file_.path().filename().string(), model)};
    if (model == "gpt2")
      source.file = byte_level();
    else if (model == "llama" || model == "t5")
      source.file = tokenizer_json(table(model == "t5"), file_.path().string(), false);
    else
      refuse("model", "gpt2, llama or t5");
    return source;
  }
  json stop_ids() const {
    auto ids = json::array();
    for (const auto* name : {"eos", "eot", "eom"})
      if (const auto id = token_id(name); id >= 0) ids.push_back(id);
    // Many files do not name the end of a turn, for which llama.cpp knows texts (src/llama-vocab.cpp).
    const auto& tokens = list("tokens");
    for (size_t id = 0; id < tokens.size() && token_id("eot") < 0; ++id)
      if (kind(id) == PieceKind::control && std::ranges::find(kTurnEnds, token(id)) != std::end(kTurnEnds) &&
          std::ranges::find(ids, json(id)) == ids.end())
        ids.push_back(id);
    return ids;
  }

 private:
  const json* find(const std::string& key) const {
    const auto found = file_.metadata().find("tokenizer.ggml." + key);
    return found == file_.metadata().end() ? nullptr : &*found;
  }
  [[noreturn]] void refuse(const std::string& key, const std::string& expected) const {
    const auto* value = find(key);
    fail(ErrorKind::config,
         fmt::format("{}: tokenizer.ggml.{} is {}, expected {}", file_.path().string(), key,
                     value ? value->dump().substr(0, 60) : "missing", expected),
         "name a directory with the model's tokenizer.json in model.llm.tokenizer");
  }
  const json& list(const std::string& key) const {
    const auto* value = find(key);
    if (!value || !value->is_array()) refuse(key, "a list");
    return *value;
  }
  std::string text(const std::string& key, const std::string& otherwise) const {
    const auto* value = find(key);
    if (value && !value->is_string()) refuse(key, "a text");
    return value ? value->get<std::string>() : otherwise;
  }
  bool flag(const std::string& key, bool otherwise) const {
    const auto* value = find(key);
    if (value && !value->is_boolean()) refuse(key, "true or false");
    return value ? value->get<bool>() : otherwise;
  }
  // -1: none is named.
  int64_t token_id(const std::string& name) const {
    const auto key = name + "_token_id";
    const auto* value = find(key);
    if (!value) return -1;
    // Files say "none" with the largest number.
    if (value->is_number_integer() && (*value < 0 || *value == UINT32_MAX)) return -1;
    if (!value->is_number_integer() || *value >= list("tokens").size()) refuse(key, "an id of a token");
    return value->get<int64_t>();
  }
  std::string token(size_t id) const { return list("tokens")[id].get<std::string>(); }
  PieceKind kind(size_t id) const {
    if (!find("token_type")) return PieceKind::normal;
    const auto& types = list("token_type");
    if (types.size() != list("tokens").size() || !types[id].is_number_integer() || types[id] < 0 || types[id] > 6)
      refuse("token_type", "a type from 0 to 6 for each token");
    return types[id] == 0 ? PieceKind::normal : static_cast<PieceKind>(types[id].get<int>());
  }

  json config() const {
    auto made = json::object();
    for (const auto& [role, name] : {std::pair("bos", "bos_token"), std::pair("eos", "eos_token"),
                                     std::pair("unknown", "unk_token"), std::pair("padding", "pad_token")})
      if (const auto id = token_id(role); id >= 0) made[name] = token(static_cast<size_t>(id));
    // As llama.cpp has it, if the file does not say.
    made["add_bos_token"] = flag("add_bos_token", text("model", "") == "llama" || text("pre", "") == "llama-bpe");
    made["add_eos_token"] = flag("add_eos_token", text("model", "") == "t5");
    return made;
  }

  json added() const {
    auto all = json::array();
    for (size_t id = 0; id < list("tokens").size(); ++id) {
      const auto own = kind(id);
      if (own == PieceKind::control || own == PieceKind::user_defined || own == PieceKind::unknown)
        all.push_back(
            {{"id", id}, {"content", token(id)}, {"special", own != PieceKind::user_defined}, {"normalized", false}});
    }
    return all;
  }

  json byte_level() const {
    const auto& pre = gguf_pre(text("pre", ""), file_.path().string());
    auto vocabulary = json::object();
    for (size_t id = 0; id < list("tokens").size(); ++id)
      if (!vocabulary.emplace(token(id), id).second)
        refuse("tokens", fmt::format("each once; \"{}\" is there twice", token(id)));
    const json last = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", pre.then_gpt2}};
    auto steps = json::array();
    for (const auto& pattern : pre.patterns)
      steps.push_back(
          {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}});
    steps.push_back(last);
    return {
        {"version", "1.0"},
        {"added_tokens", added()},
        {"normalizer", pre.nfc ? json({{"type", "NFC"}}) : json()},
        {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", steps}}},
        {"decoder", last},
        {"post_processor", nullptr},
        {"model",
         {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", list("merges")}, {"ignore_merges", pre.ignore_merges}}}};
  }

  PieceTable table(bool unigram) const {
    const auto& scores = list("scores");
    const auto& tokens = list("tokens");
    if (scores.size() != tokens.size() ||
        !std::all_of(scores.begin(), scores.end(), [](const json& score) { return score.is_number(); }))
      refuse("scores", "a number for each token");
    PieceTable made{.unigram = unigram, .byte_fallback = !unigram};
    TextMap seen;
    for (size_t id = 0; id < tokens.size(); ++id) {
      made.pieces.push_back({token(id), scores[id].get<float>(), kind(id)});
      if (made.pieces.back().text.empty() || !seen.emplace(made.pieces.back().text, 0).second)
        refuse("tokens", fmt::format("texts that are there once; [{}] is not", id));
    }
    made.add_dummy_prefix = flag("add_space_prefix", true);
    made.remove_extra_whitespaces = flag("remove_extra_whitespaces", unigram);
    if (const auto* map = find("precompiled_charsmap"); map && map->is_array())
      for (const auto& byte : *map) {
        if (!byte.is_number_integer() || byte < -128 || byte > 255) refuse("precompiled_charsmap", "a list of bytes");
        made.charsmap += static_cast<char>(byte.get<int>());
      }
    return made;
  }

  const GgufFile& file_;
};

}  // namespace

TokenizerSource gguf_tokenizer(const std::filesystem::path& path) {
  const GgufFile file(path, ErrorKind::config);
  return GgufTokens(file).source();
}

json gguf_generation(const std::filesystem::path& path) {
  const GgufFile file(path, ErrorKind::config);
  return {{"eos_token_id", GgufTokens(file).stop_ids()}};
}

}  // namespace antiphon::text
