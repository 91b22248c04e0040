// Reads an object of a JSON file strictly: wrong types, missing and unknown fields are errors that say where.
#pragma once
#include <initializer_list>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace antiphon::text {

// How to fix a tokenizer file that is not as the tokenizers library writes it.
inline constexpr const char* kSaveAgain =
    "save the tokenizer again with AutoTokenizer.from_pretrained(...).save_pretrained(...)";
// For a normalizer or a pre-tokenizer.
inline constexpr size_t kMostSteps = 64;

class JsonFields {
 public:
  // `where` is the name used in messages, e.g. "tokenizer.json: pre_tokenizer[1]". Config error unless `object` is an
  // object.
  JsonFields(const nlohmann::json& object, std::string where);

  // The fields that have a meaning; any other is a config error.
  const JsonFields& only(std::initializer_list<std::string_view> names) const;
  bool has(std::string_view name) const;  // present and not null
  bool flag(std::string_view name, bool otherwise) const;
  std::string text(std::string_view name) const;
  std::string text(std::string_view name, std::string_view otherwise) const;
  int64_t integer(std::string_view name) const;
  const nlohmann::json& object(std::string_view name) const;
  const nlohmann::json& array(std::string_view name) const;
  const nlohmann::json& any(std::string_view name) const;

  std::string at(std::string_view name) const;  // "<where>.<name>"
  const std::string& where() const { return where_; }
  [[noreturn]] void refuse(std::string_view what) const;

 private:
  const nlohmann::json& object_;
  std::string where_;
};

// Parses; config error with the position if the text is not JSON or nested too deep.
nlohmann::json parse_file(std::string_view text, const std::string& name);

}  // namespace antiphon::text
