#include <antiphon/text/tokenizer/normalizer.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/text/tokenizer/json_fields.h>
#include <antiphon/text/tokenizer/pattern.h>
#include <antiphon/text/tokenizer/pattern_field.h>
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

std::string Normalizer::operator()(std::string_view text, bool prefixed) const {
  const size_t most = 16 * text.size() + 1024;
  std::string out(text);
  for (const auto& step : steps_) {
    if (prefixed || !step.prefixes) out = step.run(std::move(out), most);
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
  const auto form = [&](NormalForm form) {
    fields.only({"type"});
    steps_.push_back({[form](std::string text, size_t) { return normalize(form, text); }});
  };
  if (type == "NFC") return form(NormalForm::nfc);
  if (type == "NFD") return form(NormalForm::nfd);
  if (type == "NFKC") return form(NormalForm::nfkc);
  if (type == "NFKD") return form(NormalForm::nfkd);
  if (type == "Lowercase") {
    fields.only({"type"});
    steps_.push_back({[](std::string text, size_t) { return lowercase(text); }});
  } else if (type == "Prepend") {
    fields.only({"type", "prepend"});
    steps_.push_back(
        {[prefix = fields.text("prepend")](std::string text, size_t) { return text.empty() ? text : prefix + text; },
         true});
  } else if (type == "Replace") {
    fields.only({"type", "pattern", "content"});
    steps_.push_back({[pattern = pattern_field(fields), content = fields.text("content")](
                          std::string text, size_t most) { return replace_all(pattern, content, text, most); }});
  } else if (type == "Sequence") {
    fields.only({"type", "normalizers"});
    if (depth > 8) fields.refuse("so deep a Sequence");
    size_t index = 0;
    for (const auto& part : fields.array("normalizers"))
      add(part, fmt::format("{}.normalizers[{}]", where, index++), depth + 1);
  } else {
    fields.refuse(fmt::format("the normalizer {}", type));
  }
}

}  // namespace antiphon::text
