#include <antiphon/text/tokenizer/llama_tokenizer.h>

#include <string>

#include <nlohmann/json.hpp>

namespace antiphon::text {
namespace {

using nlohmann::json;

// A value of another type counts as missing: the strict reader of the files reports it.
template <class T>
T value_or(const json& object, const char* key, T otherwise) {
  const auto it = object.is_object() ? object.find(key) : object.end();
  if (!object.is_object() || it == object.end()) return otherwise;
  const auto* value = it->template get_ptr<const T*>();
  return value ? *value : otherwise;
}

bool is_byte_level(const json& part) {
  if (value_or<std::string>(part, "type", "") == "ByteLevel") return true;
  for (const auto* list : {"pretokenizers", "decoders"})
    for (const auto& inner : value_or<json::array_t>(part, list, {}))
      if (value_or<std::string>(inner, "type", "") == "ByteLevel") return true;
  return false;
}

json decoders(bool strips) {
  auto list = json::array({{{"type", "Replace"}, {"pattern", {{"String", "\u2581"}}}, {"content", " "}},
                           {{"type", "ByteFallback"}},
                           {{"type", "Fuse"}}});
  if (strips) list.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  return {{"type", "Sequence"}, {"decoders", list}};
}

}  // namespace

std::string tokenizer_class(const json& tokenizer_config, const json& model_config) {
  auto name = value_or<std::string>(tokenizer_config, "tokenizer_class", "");
  if (name.empty()) name = value_or<std::string>(model_config, "tokenizer_class", "");
  return name.ends_with("Fast") ? name.substr(0, name.size() - 4) : name;
}

bool read_as_llama(json& tokenizer, const json& tokenizer_config, const json& model_config) {
  const auto model_type = value_or<std::string>(model_config, "model_type", "");
  if (!model_type.empty() && model_type != "llama") return false;
  if (tokenizer_class(tokenizer_config, model_config) != "LlamaTokenizer" || !tokenizer.is_object()) return false;
  const auto part = [&](const char* name) { return tokenizer.contains(name) ? tokenizer[name] : json(); };
  if (is_byte_level(part("pre_tokenizer")) || is_byte_level(part("decoder")) || !part("model").is_object())
    return false;
  const bool prefix = value_or(tokenizer_config, "add_prefix_space", true);
  const auto* scheme = !prefix ? "never" : value_or(tokenizer_config, "legacy", false) ? "always" : "first";
  tokenizer["normalizer"] = nullptr;
  tokenizer["pre_tokenizer"] = {
      {"type", "Metaspace"}, {"replacement", "\u2581"}, {"prepend_scheme", scheme}, {"split", false}};
  tokenizer["decoder"] = decoders(prefix);
  tokenizer["model"].update(
      {{"unk_token", nullptr}, {"fuse_unk", true}, {"byte_fallback", true}, {"ignore_merges", false}});
  return true;
}

}  // namespace antiphon::text
