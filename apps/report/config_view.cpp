#include <fmt/format.h>

#include <antiphon/base/strings.h>
#include <report/run_data.h>

namespace antiphon::apps::report {
namespace {

using nlohmann::json;

const json& member(const json& object, const std::string& key) {
  static const json none;
  const auto it = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && it != object.end() ? *it : none;
}

std::string plain(const json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump(-1, ' ', false, json::error_handler_t::replace);
}

// The few options that tell components of one plugin apart.
std::string detail_of(const json& component) {
  std::vector<std::string> words;
  if (const auto& weights = member(component, "weights"); weights.is_string() && !plain(weights).empty())
    words.push_back(plain(weights));
  for (const char* key : {"rank", "factor", "pool", "lr"})
    if (const auto& value = member(component, key); !value.is_null()) words.push_back(key + (" " + plain(value)));
  if (const auto& trainable = member(component, "trainable"); trainable.is_boolean())
    words.emplace_back(trainable.get<bool>() ? "trained" : "frozen");
  return join(words, ", ");
}

void add(json& parts, const std::string& part, const json& component, const char* name = "plugin") {
  if (const auto& plugin = member(component, name); plugin.is_string() && plugin != "")
    parts.push_back({{"part", part}, {"plugin", plugin}, {"detail", detail_of(component)}});
}

void flatten(const json& value, const std::string& key, std::map<std::string, std::string>& out) {
  const bool nested = value.is_object() || (value.is_array() && !value.empty() && value.front().is_structured());
  if (!nested) {
    out[key] = value.dump(-1, ' ', false, json::error_handler_t::replace);
    return;
  }
  for (const auto& [name, inner] : value.items()) flatten(inner, key.empty() ? name : key + "." + name, out);
}

}  // namespace

json parts_of(const json& config) {
  json parts = json::array();
  const auto& model = member(config, "model");
  add(parts, "whole model", model, "from");
  add(parts, "language model", member(model, "llm"));
  if (const auto& peft = member(member(model, "llm"), "peft"); peft.is_array())
    for (const auto& method : peft) add(parts, "fine-tuning", method);
  if (const auto& streams = member(model, "streams"); streams.is_object())
    for (const auto& [name, stream] : streams.items()) {
      if (member(stream, "enabled") == false) continue;
      add(parts, name + " encoder", member(stream, "encoder"));
      add(parts, name + " connector", member(stream, "connector"));
    }
  add(parts, "objective", member(config, config.contains("objective") ? "objective" : "loss"));
  add(parts, "optimizer", member(member(config, "train"), "optimizer"), "name");
  return parts;
}

json differences(const json& a, const json& b) {
  std::map<std::string, std::string> left, right;
  flatten(a, "", left), flatten(b, "", right);
  std::map<std::string, std::pair<std::string, std::string>> both;
  for (const auto& [key, value] : left) both[key].first = value;
  for (const auto& [key, value] : right) both[key].second = value;
  json out = json::array();
  for (const auto& [key, values] : both)
    if (values.first != values.second)
      out.push_back({{"key", key}, {"values", json::array({values.first, values.second})}});
  return out;
}

}  // namespace antiphon::apps::report
