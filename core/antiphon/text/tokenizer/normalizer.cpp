#include <antiphon/text/tokenizer/normalizer.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/text/tokenizer/charsmap.h>
#include <antiphon/text/tokenizer/cleaning.h>
#include <antiphon/text/tokenizer/json_fields.h>
#include <antiphon/text/tokenizer/pattern.h>
#include <antiphon/text/tokenizer/pattern_field.h>
#include <antiphon/text/tokenizer/piece_spaces.h>
#include <antiphon/text/unicode.h>

namespace antiphon::text {
namespace {

// Ends early if the text grows beyond `most`.
std::string replace_all(const Pattern& pattern, const std::string& content, const std::string& text, size_t most) {
  std::string out;
  size_t done = 0;
  pattern.for_each_match(text, [&](size_t begin, size_t end) {
    if (out.size() > most) return;
    out.append(text, done, begin - done).append(content);
    done = end;
  });
  return out.append(text, done);
}

}  // namespace

Normalizer::Normalizer(const nlohmann::json& description, const std::string& where) : where_(where) {
  add(description, where, 0);
}

std::string Normalizer::operator()(std::string_view text, Edges edges) const {
  const size_t most = 16 * text.size() + 1024;
  std::string out(text);
  for (const auto& step : steps_) {
    out = step(std::move(out), most, edges);
    if (out.size() > most)
      fail(ErrorKind::config, fmt::format("{} makes more than {} bytes of {}", where_, most, text.size()),
           "take a tokenizer whose replacements are shorter");
  }
  return out;
}

void Normalizer::add(const nlohmann::json& description, const std::string& where, int depth) {
  const JsonFields fields(description, where);
  const auto type = fields.text("type");
  if (steps_.size() >= kMostSteps) fields.refuse(fmt::format("a normalizer of more than {} steps", kMostSteps));
  if (add_form(fields, type) || add_edit(fields, type) || add_cleaning(fields, type) || add_charsmap(fields, type))
    return;
  if (type != "Sequence") fields.refuse(fmt::format("the normalizer {}", type));
  fields.only({"type", "normalizers"});
  if (depth > 8) fields.refuse("so deep a Sequence");
  size_t index = 0;
  for (const auto& part : fields.array("normalizers"))
    add(part, fmt::format("{}.normalizers[{}]", where, index++), depth + 1);
}

bool Normalizer::add_form(const JsonFields& fields, const std::string& type) {
  const auto form = type == "NFC"    ? NormalForm::nfc
                    : type == "NFD"  ? NormalForm::nfd
                    : type == "NFKC" ? NormalForm::nfkc
                                     : NormalForm::nfkd;
  if (form == NormalForm::nfkd && type != "NFKD") return false;
  fields.only({"type"});
  steps_.emplace_back([form](std::string text, size_t, Edges) { return normalize(form, text); });
  return true;
}

bool Normalizer::add_edit(const JsonFields& fields, const std::string& type) {
  if (type == "Prepend") {
    fields.only({"type", "prepend"});
    steps_.emplace_back([prefix = fields.text("prepend")](std::string text, size_t, Edges edges) {
      return text.empty() || edges.before == Before::text ? text : prefix + text;
    });
  } else if (type == "Replace") {
    fields.only({"type", "pattern", "content"});
    steps_.emplace_back(
        [pattern = pattern_field(fields), content = fields.text("content")](std::string text, size_t most, Edges) {
          return replace_all(pattern, content, text, most);
        });
  } else if (type == "Strip") {
    fields.only({"type", "strip_left", "strip_right"});
    steps_.emplace_back([left = fields.flag("strip_left", true), right = fields.flag("strip_right", true)](
                            std::string text, size_t, Edges) { return strip(text, left, right); });
  } else {
    return false;
  }
  return true;
}

bool Normalizer::add_cleaning(const JsonFields& fields, const std::string& type) {
  if (type == "BertNormalizer") {
    fields.only({"type", "clean_text", "handle_chinese_chars", "strip_accents", "lowercase"});
    const bool lower = fields.flag("lowercase", true);
    const BertOptions options{fields.flag("clean_text", true), fields.flag("handle_chinese_chars", true),
                              fields.flag("strip_accents", lower), lower};
    steps_.emplace_back([options](std::string text, size_t, Edges) { return as_bert(std::move(text), options); });
    return true;
  }
  using Change = std::string (*)(std::string_view);
  const Change change = type == "Lowercase"      ? Change(lowercase)
                        : type == "PythonLower"  ? Change(lowercase_in_context)
                        : type == "StripAccents" ? Change(without_marks)
                        : type == "Nmt"          ? Change(as_nmt)
                                                 : nullptr;
  if (!change) return false;
  fields.only({"type"});
  steps_.emplace_back([change](std::string text, size_t, Edges) { return change(text); });
  return true;
}

bool Normalizer::add_charsmap(const JsonFields& fields, const std::string& type) {
  if (type != "Precompiled" && type != "SentencePiece") return false;
  const auto map = Charsmap::from_base64(fields.text("precompiled_charsmap", ""), fields.where());
  if (type == "Precompiled") {
    fields.only({"type", "precompiled_charsmap"});
    steps_.emplace_back([map](std::string text, size_t most, Edges) { return map.by_clusters(text, most); });
    return true;
  }
  fields.only({"type", "precompiled_charsmap", "add_dummy_prefix", "remove_extra_whitespaces", "escape_whitespaces",
               "symbols_are_text"});
  const PieceSpaces spaces{fields.flag("add_dummy_prefix", true), fields.flag("remove_extra_whitespaces", true),
                           fields.flag("escape_whitespaces", true)};
  if (spaces.add_dummy_prefix && fields.flag("symbols_are_text", false))
    before_symbol_ = spaces.escape_whitespaces ? escaped_space : " ";
  steps_.emplace_back([map, spaces](std::string text, size_t most, Edges edges) {
    return as_sentencepiece(text, map, spaces, edges, most);
  });
  return true;
}

}  // namespace antiphon::text
