#include <antiphon/text/tokenizer/token_spelling.h>

#include <charconv>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/text/tokenizer/byte_alphabet.h>
#include <antiphon/text/tokenizer/json_fields.h>

namespace antiphon::text {

int named_byte(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return -1;
  int value = -1;
  const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, value, 16);
  return error == std::errc() && end == token.data() + 5 ? value : -1;
}

TokenSpelling::TokenSpelling(const nlohmann::json& decoder, const std::string& where) { add(decoder, where, 0); }

void TokenSpelling::add(const nlohmann::json& description, const std::string& where, int depth) {
  const JsonFields fields(description, where);
  const auto type = fields.text("type");
  if (type == "ByteLevel" && depth == 0) {
    byte_level_ = true;
  } else if (type == "Metaspace" && depth == 0) {
    fields.only({"type", "replacement", "prepend_scheme", "split", "add_prefix_space"});
    metaspace_ = true;
    space_ = fields.text("replacement");
    strips_start_ = fields.text("prepend_scheme", "always") != "never";
  } else if (type == "Replace" && depth > 0) {
    const JsonFields pattern(fields.object("pattern"), fields.at("pattern"));
    if (fields.text("content") != " " || !pattern.has("String") || !space_.empty()) fields.refuse("this Replace");
    space_ = pattern.text("String");
  } else if (type == "ByteFallback" && depth > 0) {
    byte_fallback_ = true;
  } else if (type == "Strip" && depth > 0) {
    if (fields.text("content") != " " || fields.integer("start") != 1 || fields.integer("stop") != 0)
      fields.refuse("this Strip");
    strips_start_ = true;
  } else if (type == "Sequence" && depth == 0) {
    size_t index = 0;
    for (const auto& part : fields.array("decoders")) add(part, fmt::format("{}.decoders[{}]", where, index++), 1);
  } else if (type != "Fuse" || depth == 0) {
    fields.refuse("the decoder " + type);
  }
}

bool TokenSpelling::strips_start(std::string_view token) const {
  return strips_start_ && (!metaspace_ || token.starts_with(space_));
}

std::string TokenSpelling::bytes_of(std::string_view token) const {
  if (byte_level_) return alphabet_to_bytes(token).value_or(std::string(token));
  if (const int byte = byte_fallback_ ? named_byte(token) : -1; byte >= 0) return {static_cast<char>(byte)};
  std::string out;
  for (size_t i = 0; i < token.size();) {
    const bool space = !space_.empty() && token.substr(i).starts_with(space_);
    out += space ? ' ' : token[i];
    i += space ? space_.size() : 1;
  }
  return out;
}

}  // namespace antiphon::text
