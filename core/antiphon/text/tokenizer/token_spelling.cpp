#include <antiphon/text/tokenizer/token_spelling.h>

#include <charconv>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/text/tokenizer/byte_alphabet.h>
#include <antiphon/text/tokenizer/json_fields.h>

namespace antiphon::text {
namespace {

// In this order (huggingface/tokenizers, src/decoders/wordpiece.rs).
constexpr std::pair<std::string_view, std::string_view> cleanings[] = {
    {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
    {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};

void replace_each(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

}  // namespace

int named_byte(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return -1;
  int value = -1;
  const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, value, 16);
  return error == std::errc() && end == token.data() + 5 ? value : -1;
}

TokenSpelling::TokenSpelling(const nlohmann::json& decoder, const std::string& where) {
  decoder.is_null() ? void(apart_ = true) : add(decoder, where, 0);
}

void TokenSpelling::add(const nlohmann::json& description, const std::string& where, int depth) {
  const JsonFields fields(description, where);
  const auto type = fields.text("type");
  if (depth > 0) return add_in_sequence(fields, type);
  if (type == "ByteLevel") {
    byte_level_ = true;
  } else if (type == "Metaspace") {
    fields.only({"type", "replacement", "prepend_scheme", "split", "add_prefix_space"});
    metaspace_ = true;
    space_ = fields.text("replacement");
    strips_start_ = fields.text("prepend_scheme", "always") != "never";
  } else if (type == "WordPiece") {
    fields.only({"type", "prefix", "cleanup"});
    apart_ = true, cleans_ = fields.flag("cleanup", true);
    continuing_ = fields.text("prefix", "##");
  } else if (type == "Sequence") {
    size_t index = 0;
    for (const auto& part : fields.array("decoders")) add(part, fmt::format("{}.decoders[{}]", where, index++), 1);
  } else {
    fields.refuse("the decoder " + type);
  }
}

void TokenSpelling::add_in_sequence(const JsonFields& fields, const std::string& type) {
  if (type == "Replace") {
    const JsonFields pattern(fields.object("pattern"), fields.at("pattern"));
    if (fields.text("content") != " " || !pattern.has("String") || !space_.empty()) fields.refuse("this Replace");
    space_ = pattern.text("String");
  } else if (type == "ByteFallback") {
    byte_fallback_ = true;
  } else if (type == "Fuse") {
    fused_ = true;
  } else if (type == "Unknown") {
    unknown_ = fields.text("token"), unknown_surface_ = fields.text("content");
  } else if (type == "Strip") {
    if (!fused_ || fields.text("content") != " " || fields.integer("start") != 1 || fields.integer("stop") != 0)
      fields.refuse("this Strip");
    strips_start_ = true, starts_until_text_ = fields.flag("until_text", false);
  } else {
    fields.refuse("the decoder " + type);
  }
}

std::string TokenSpelling::cleaned(std::string text) const {
  if (cleans_)
    for (const auto& [from, to] : cleanings) replace_each(text, from, to);
  return text;
}

std::string TokenSpelling::with_spaces(std::string_view token, std::string_view space) const {
  std::string out;
  for (size_t i = 0; i < token.size();) {
    const bool found = !space_.empty() && token.substr(i).starts_with(space_);
    found ? out.append(space) : out.append(1, token[i]);
    i += found ? space_.size() : 1;
  }
  return out;
}

std::string TokenSpelling::bytes_of(std::string_view token) const {
  if (byte_level_) return alphabet_to_bytes(token).value_or(std::string(token));
  if (!unknown_.empty() && token == unknown_) return unknown_surface_;
  if (const int byte = byte_fallback_ ? named_byte(token) : -1; byte >= 0) return {static_cast<char>(byte)};
  if (!apart_) return with_spaces(token, " ");
  if (!continuing_.empty() && token.starts_with(continuing_))
    return cleaned(std::string(token.substr(continuing_.size())));
  return cleaned(" " + std::string(token));
}

std::string TokenSpelling::first_bytes_of(std::string_view token) const {
  if (apart_) return cleaned(std::string(token));
  if (metaspace_ && strips_start_) return with_spaces(token, "");
  auto bytes = bytes_of(token);
  const bool unknown = !unknown_.empty() && token == unknown_;  // the space is a part of its surface
  if (strips_start_ && !unknown && bytes.starts_with(' ')) bytes.erase(0, 1);
  return bytes;
}

}  // namespace antiphon::text
