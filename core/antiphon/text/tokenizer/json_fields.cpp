#include <antiphon/text/tokenizer/json_fields.h>

#include <fmt/format.h>
#include <algorithm>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/json.h>

namespace antiphon::text {
namespace {}

JsonFields::JsonFields(const nlohmann::json& object, std::string where) : object_(object), where_(std::move(where)) {
  if (!object.is_object())
    fail(ErrorKind::config, fmt::format("{}: expected an object, got {}", where_, object.type_name()), kSaveAgain);
}

const JsonFields& JsonFields::only(std::initializer_list<std::string_view> names) const {
  for (const auto& [key, value] : object_.items())
    if (std::find(names.begin(), names.end(), key) == names.end())
      fail(ErrorKind::config, fmt::format("{}: the field \"{}\" is not supported", where_, key),
           "take a tokenizer without it: ignoring it could change the tokens");
  return *this;
}

bool JsonFields::has(std::string_view name) const {
  const auto found = object_.find(name);
  return found != object_.end() && !found->is_null();
}

const nlohmann::json& JsonFields::any(std::string_view name) const {
  const auto found = object_.find(name);
  if (found == object_.end())
    fail(ErrorKind::config, fmt::format("{}: the field \"{}\" is missing", where_, name), kSaveAgain);
  return *found;
}

bool JsonFields::flag(std::string_view name, bool otherwise) const {
  if (!has(name)) return otherwise;
  const auto& value = any(name);
  if (!value.is_boolean())
    fail(ErrorKind::config, fmt::format("{}: expected true or false, got {}", at(name), value.type_name()), kSaveAgain);
  return value.get<bool>();
}

std::string JsonFields::text(std::string_view name) const {
  const auto& value = any(name);
  if (!value.is_string())
    fail(ErrorKind::config, fmt::format("{}: expected a string, got {}", at(name), value.type_name()), kSaveAgain);
  return value.get<std::string>();
}

std::string JsonFields::text(std::string_view name, std::string_view otherwise) const {
  return has(name) ? text(name) : std::string(otherwise);
}

int64_t JsonFields::integer(std::string_view name) const {
  const auto& value = any(name);
  if (!value.is_number_integer())
    fail(ErrorKind::config, fmt::format("{}: expected an integer, got {}", at(name), value.type_name()), kSaveAgain);
  return value.get<int64_t>();
}

const nlohmann::json& JsonFields::object(std::string_view name) const {
  const auto& value = any(name);
  if (!value.is_object())
    fail(ErrorKind::config, fmt::format("{}: expected an object, got {}", at(name), value.type_name()), kSaveAgain);
  return value;
}

const nlohmann::json& JsonFields::array(std::string_view name) const {
  const auto& value = any(name);
  if (!value.is_array())
    fail(ErrorKind::config, fmt::format("{}: expected a list, got {}", at(name), value.type_name()), kSaveAgain);
  return value;
}

std::string JsonFields::at(std::string_view name) const { return fmt::format("{}.{}", where_, name); }

void JsonFields::refuse(std::string_view what) const {
  fail(ErrorKind::config, fmt::format("{}: {} is not supported", where_, what),
       "take a BPE tokenizer such as those of GPT-2, Llama 2 and 3, Mistral, Qwen2 or SmolLM2");
}

nlohmann::json parse_file(std::string_view text, const std::string& name) {
  return antiphon::parse_json(text, {name, ErrorKind::config, kSaveAgain, /*unique_keys=*/true});
}

}  // namespace antiphon::text
