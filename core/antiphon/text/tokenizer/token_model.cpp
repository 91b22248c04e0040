#include <antiphon/text/tokenizer/token_model.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/text/tokenizer/bpe.h>
#include <antiphon/text/tokenizer/json_fields.h>
#include <antiphon/text/tokenizer/unigram.h>
#include <antiphon/text/tokenizer/word_piece.h>

namespace antiphon::text {
namespace {

// Older files leave the type out; only WordPiece has max_input_chars_per_word, only Unigram a list.
std::string type_of(const JsonFields& fields) {
  if (fields.has("type")) return fields.text("type");
  if (fields.has("max_input_chars_per_word")) return "WordPiece";
  return fields.has("vocab") && fields.any("vocab").is_array() ? "Unigram" : "BPE";
}

}  // namespace

std::unique_ptr<TokenModel> make_token_model(const nlohmann::json& model, const std::string& where, bool byte_level) {
  const JsonFields fields(model, where);
  const auto type = type_of(fields);
  if (type == "BPE") return std::make_unique<Bpe>(model, where, byte_level);
  if (byte_level) fields.refuse(fmt::format("ByteLevel with the model type {}", type));
  if (type == "Unigram") return std::make_unique<Unigram>(model, where);
  if (type == "WordPiece") return std::make_unique<WordPiece>(model, where);
  fields.refuse(fmt::format("the model type {}", type));
}

}  // namespace antiphon::text
