#include <cmath>

#include <antiphon/config/text.h>
#include <antiphon/config/value.h>

#include <nlohmann/json.hpp>

namespace antiphon::config {
namespace {

nlohmann::json json(const Value& value) {
  if (const auto* flag = value.get_if<bool>()) return *flag;
  if (const auto* integer = value.get_if<int64_t>()) return *integer;
  if (const auto* text = value.get_if<std::string>()) return *text;
  if (const auto* number = value.get_if<double>()) {
    return std::isfinite(*number) ? nlohmann::json(*number) : nlohmann::json(scalar_text(value));
  }
  if (const auto* list = value.get_if<Value::Array>()) {
    auto out = nlohmann::json::array();
    for (const auto& item : *list) out.push_back(json(item));
    return out;
  }
  if (const auto* table = value.get_if<Value::Table>()) {
    auto out = nlohmann::json::object();
    for (const auto& [key, item] : *table) out[key] = json(item);
    return out;
  }
  return nullptr;
}

}  // namespace

std::string to_json(const Value& root, int indent) {
  return json(root).dump(indent, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace antiphon::config
