#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/base/gguf.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/utf8.h>
#include <antiphon/text/tokenizer/byte_alphabet.h>
#include <antiphon/text/tokenizer/gguf_tokenizer.h>
#include <antiphon/text/tokenizer/json_fields.h>
#include <antiphon/text/tokenizer/tokenizer_source.h>
#include <antiphon/text/tokenizer/tokenizer_state.h>
#include <antiphon/text/tokenizer/vocabulary.h>
#include <antiphon/text/unicode.h>

namespace antiphon::text {
namespace {

constexpr const char* named_tokens[] = {"bos_token", "eos_token", "unk_token", "pad_token",
                                        "sep_token", "cls_token", "mask_token"};

// A hundred bytes of memory are kept for a letter of added tokens that begin differently.
constexpr size_t max_added_letters = 1000, max_added_bytes = 4 << 20, max_template_ids = 1000;

constexpr char32_t space_letter = 0x2581;  // "▁", a space in SentencePiece's tokens

bool is_plain_text(std::string_view content) {
  if (content.size() == code_point_at(content, 0).length) return true;
  for (size_t i = 0; i < content.size();) {
    const auto [c, length] = code_point_at(content, i);
    if (!is_space(c) && c != space_letter) return false;
    i += length;
  }
  return true;
}

AddedToken added_token(const nlohmann::json& description, const std::string& where, bool with_id) {
  const JsonFields fields(description, where);
  fields.only({"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special", "__type"});
  AddedToken token;
  token.id = -1;
  if (with_id) {
    const auto id = fields.integer("id");
    if (id < 0 || id >= 1 << 22)
      fail(ErrorKind::config, fmt::format("{}.id is {}, expected 0 to 4194303", where, id), kSaveAgain);
    token.id = static_cast<int32_t>(id);
  }
  token.content = fields.text("content");
  token.special = fields.flag("special", false);
  token.single_word = fields.flag("single_word", false);
  token.lstrip = fields.flag("lstrip", false);
  token.rstrip = fields.flag("rstrip", false);
  token.normalized = fields.flag("normalized", !token.special);
  if (token.content.empty()) fail(ErrorKind::config, fmt::format("{}.content is empty", where), kSaveAgain);
  if (const auto letters = count_characters(token.content); letters > max_added_letters)
    fail(ErrorKind::config,
         fmt::format("{}.content has {} letters; at most {} are allowed", where, letters, max_added_letters),
         "take the token out of the file, or a shorter one");
  return token;
}

// "<s>" or {"content": "<s>", …}; "" if it is null or missing.
std::string token_text(const JsonFields& fields, std::string_view name) {
  if (!fields.has(name)) return {};
  const auto& value = fields.any(name);
  return value.is_object() ? JsonFields(value, fields.at(name)).text("content") : fields.text(name);
}

nlohmann::json part_or_null(const nlohmann::json& file, const char* name) {
  const JsonFields fields(file, "tokenizer.json");
  return fields.has(name) ? fields.any(name) : nlohmann::json();
}

}  // namespace

Tokenizer::State::State(const nlohmann::json& file, bool own_ids, bool own_space)
    : pre_tokenizer(part_or_null(file, "pre_tokenizer"), "tokenizer.json: pre_tokenizer"),
      model(make_token_model(JsonFields(file, "tokenizer.json").object("model"), "tokenizer.json: model",
                             pre_tokenizer.byte_level())),
      spelling(part_or_null(file, "decoder"), "tokenizer.json: decoder"),
      given_ids(own_ids),
      apart(own_space) {
  const JsonFields fields(file, "tokenizer.json");
  fields.only({"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer", "post_processor",
               "decoder", "model"});
  if (fields.text("version", "1.0") != "1.0") fields.refuse("version " + fields.text("version"));
  if (fields.has("normalizer")) normalizer = Normalizer(fields.object("normalizer"), "tokenizer.json: normalizer");
  if (fields.has("post_processor"))
    read_post_processor(fields.object("post_processor"), "tokenizer.json: post_processor", 0);
  if (spelling.byte_level() != pre_tokenizer.byte_level())
    fields.refuse("a ByteLevel pre-tokenizer or decoder without the other");
  read_added(fields);
  index_tokens();
}

void Tokenizer::State::read_added(const JsonFields& file) {
  if (!file.has("added_tokens")) return;
  size_t index = 0;
  for (const auto& description : file.array("added_tokens")) {
    const auto where = fmt::format("tokenizer.json: added_tokens[{}]", index++);
    add_token(added_token(description, where, true), where);
  }
}

// `tokenizers` gives a new token the next id, whatever the file says; if the two differ, one of them is wrong.
void Tokenizer::State::add_token(AddedToken token, const std::string& where) {
  if (!added_at.emplace(token.content, added.size()).second)
    fail(ErrorKind::config, fmt::format("{}: \"{}\" is there twice", where, token.content), kSaveAgain);
  if ((added_bytes += token.content.size()) > max_added_bytes)
    fail(ErrorKind::config,
         fmt::format("{}: the added tokens up to here have more than {} bytes together", where, max_added_bytes),
         "take a tokenizer with fewer or shorter added tokens");
  next_id = std::max(next_id, static_cast<int32_t>(model->size()));
  const auto in_vocabulary = model->id_of(token.content);
  const bool free = given_ids && token.id >= 0 && (apart || in_vocabulary < 0) && !has_token(token.id);
  const auto expected = free ? token.id : in_vocabulary >= 0 ? in_vocabulary : next_id;
  if (token.id >= 0 && token.id != expected)
    fail(ErrorKind::config,
         fmt::format("{}: \"{}\" has the id {}, expected {}", where, token.content, token.id, expected), kSaveAgain);
  token.id = expected;
  next_id = std::max(next_id, expected + 1);
  added_ids.insert(expected);
  added.push_back(std::move(token));
}

bool Tokenizer::State::has_token(int32_t id) const {
  return added_ids.contains(id) || (static_cast<size_t>(id) < model->tokens().size() && !model->tokens()[id].empty());
}

void Tokenizer::State::read_post_processor(const nlohmann::json& description, const std::string& where, int depth) {
  const JsonFields fields(description, where);
  const auto type = fields.text("type");
  if (type == "ByteLevel") return;  // moves offsets only
  if (type == "TemplateProcessing") return read_template(fields);
  if (type == "BertProcessing" || type == "RobertaProcessing") {
    fields.only({"type", "sep", "cls", "trim_offsets", "add_prefix_space"});
    read_pair(fields, "cls", before);
    return read_pair(fields, "sep", after);
  }
  if (type != "Sequence" || depth > 8) fields.refuse("the post-processor " + type);
  size_t index = 0;
  for (const auto& part : fields.array("processors"))
    read_post_processor(part, fmt::format("{}.processors[{}]", where, index++), depth + 1);
}

// ["[CLS]", 101]
void Tokenizer::State::read_pair(const JsonFields& fields, const char* name, std::vector<int32_t>& ids) {
  const auto& pair = fields.array(name);
  if (pair.size() != 2 || !pair[1].is_number_integer() || pair[1] < 0 || pair[1] > kMaxTokenId ||
      ids.size() >= max_template_ids)
    fields.refuse(fmt::format("{} {}", name, pair.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)));
  ids.push_back(pair[1].get<int32_t>());
}

void Tokenizer::State::read_template(const JsonFields& fields) {
  fields.only({"type", "single", "pair", "special_tokens"});
  const JsonFields tokens(fields.object("special_tokens"), fields.at("special_tokens"));
  std::vector<int32_t> head, tail;
  bool seen = false;
  for (const auto& part : fields.array("single")) {
    const JsonFields piece(part, fields.at("single"));
    piece.only({"Sequence", "SpecialToken"});
    if (piece.has("Sequence")) {
      if (seen || JsonFields(piece.object("Sequence"), piece.where()).text("id") != "A") piece.refuse("this sequence");
      seen = true;
      continue;
    }
    const auto name = JsonFields(piece.object("SpecialToken"), piece.where()).text("id");
    const JsonFields token(tokens.object(name), tokens.at(name));
    for (const auto& id : token.array("ids")) {
      if (!id.is_number_integer() || id < 0 || id >= 1 << 22) token.refuse("the id " + id.dump());
      (seen ? tail : head).push_back(id.get<int32_t>());
      if (before.size() + after.size() + head.size() + tail.size() > max_template_ids)
        fields.refuse(fmt::format("a template of more than {} ids", max_template_ids));
    }
  }
  if (!seen) fields.refuse("a template without the sequence A");
  before.insert(before.begin(), head.begin(), head.end());
  after.insert(after.end(), tail.begin(), tail.end());
}

void Tokenizer::State::index_tokens() {
  tokens = model->tokens();
  for (const auto& token : added) {
    if (static_cast<size_t>(token.id) >= tokens.size()) tokens.resize(static_cast<size_t>(token.id) + 1);
    tokens[token.id] = token.content;
  }
  special.assign(tokens.size(), false);
  control.assign(tokens.size(), false);
  auto spelled = tokens;
  // Decoding gives such a token in its normalized form, as `tokenizers` does.
  for (const auto& token : added)
    if (token.normalized) spelled[token.id] = respelled[token.id] = normalizer(token.content);
  bytes.clear();
  for (const auto& token : spelled) bytes.push_back(spelling.bytes_of(token));
  std::vector<int32_t> raw_ones, normalized_ones;
  bool makes_control = false;
  // `tokenizers` looks for special tokens first: of two that match the same text, the first one counts.
  for (const bool pass : {true, false})
    for (size_t i = 0; i < added.size(); ++i) {
      const auto& token = added[i];
      if (token.special != pass) continue;
      (token.normalized ? normalized_ones : raw_ones).push_back(static_cast<int32_t>(i));
      special[token.id] = token.special;
      control[token.id] = !is_plain_text(token.content);
      makes_control |= control[token.id] && model->reachable(token.id);
    }
  raw = AddedTokenSplitter(added, raw_ones, [](const AddedToken& token) { return token.content; });
  normalized =
      AddedTokenSplitter(added, normalized_ones, [&](const AddedToken& token) { return normalizer(token.content); });
  barred = makes_control ? control : std::vector<bool>{};
  for (const auto& ids : {before, after})
    for (int32_t id : ids)
      if (static_cast<size_t>(id) >= tokens.size() || tokens[id].empty())
        fail(ErrorKind::config, fmt::format("tokenizer.json: post_processor: the id {} has no token", id), kSaveAgain);
}

int32_t Tokenizer::State::id_of(std::string_view token) const {
  const auto found = added_at.find(std::string(token));
  return found == added_at.end() ? model->id_of(token) : added[found->second].id;
}

// transformers treats the tokens that the config names as special added tokens, even if the file does not list them.
void Tokenizer::State::add_named(const std::string& token, const std::string& where) {
  if (const auto listed = added_at.find(token); listed != added_at.end()) {
    added[listed->second].special = true;
    return;
  }
  if (model->id_of(token) < 0)
    fail(ErrorKind::config, fmt::format("{}: the token \"{}\" is not in tokenizer.json", where, token), kSaveAgain);
  AddedToken made;
  made.content = token;
  made.special = true;
  made.normalized = false;
  add_token(std::move(made), where);
}

void Tokenizer::State::read_names(const JsonFields& config) {
  for (const auto* name : named_tokens)
    if (const auto token = token_text(config, name); !token.empty()) named.try_emplace(name, token);
}

void Tokenizer::State::read_eos(const JsonFields& generation) {
  if (!generation.has("eos_token_id") && generation.has("text_config"))  // a whole model's config.json
    return read_eos(JsonFields(generation.object("text_config"), generation.at("text_config")));
  if (!generation.has("eos_token_id")) return;
  const auto& value = generation.any("eos_token_id");
  for (const auto& id : value.is_array() ? value : nlohmann::json::array({value})) {
    if (!id.is_number_integer() || id < 0)
      fail(ErrorKind::config, fmt::format("{}: expected ids, got {}", generation.at("eos_token_id"), value.dump()),
           "write the id of the token that ends an answer, or a list of such ids");
    // A model may name stop ids that this vocabulary lacks.
    if (id >= tokens.size()) continue;
    if (std::find(eos.begin(), eos.end(), id.get<int32_t>()) == eos.end()) eos.push_back(id.get<int32_t>());
  }
}

void Tokenizer::State::read_config(const nlohmann::json& config, const nlohmann::json& special_tokens,
                                   const nlohmann::json& generation) {
  const JsonFields fields(config, "tokenizer_config.json");
  if (fields.has("added_tokens_decoder")) {
    for (const auto& [id, description] : fields.object("added_tokens_decoder").items()) {
      const auto where = fields.at("added_tokens_decoder") + "." + id;
      auto token = added_token(description, where, false);
      if (id_of(token.content) < 0)
        fail(ErrorKind::config, fmt::format("{}: \"{}\" is not in tokenizer.json", where, token.content), kSaveAgain);
    }
  }
  read_names(fields);
  read_names(JsonFields(special_tokens, "special_tokens_map.json"));
  for (const auto& [name, token] : named) add_named(token, "tokenizer_config.json: " + name);
  index_tokens();
  const auto id_named = [&](const char* name) {
    const auto found = named.find(name);
    return found == named.end() ? std::optional<int32_t>() : std::optional<int32_t>(id_of(found->second));
  };
  bos = id_named("bos_token");
  pad = id_named("pad_token");
  if (const auto id = id_named("eos_token")) eos.push_back(*id);
  read_eos(JsonFields(generation, "generation_config.json or config.json"));
}

Tokenizer Tokenizer::from_files(const Files& files) { return from_source(tokenizer_source(files), files); }

Tokenizer Tokenizer::from_source(TokenizerSource source, const Files& files) {
  put_around(source);
  auto state = std::make_shared<State>(source.file, source.given_ids, source.apart);
  state->source = source.name;
  state->read_config(source.config, parse_file(files.special_tokens, "special_tokens_map.json"),
                     parse_file(files.generation, "generation_config.json or config.json"));
  return Tokenizer(std::move(state));
}

Tokenizer Tokenizer::load(const std::filesystem::path& directory) {
  return with_context("loading the tokenizer of " + directory.string(), [&] {
    if (is_gguf(directory) && !is_folder(directory, ErrorKind::config))
      return from_source(gguf_tokenizer(directory), {.generation = gguf_generation(directory).dump()});
    return from_files(tokenizer_files(directory));
  });
}

}  // namespace antiphon::text
