#include <antiphon/config/flat_config.h>

#include <antiphon/config/text.h>

namespace antiphon::config {
namespace {

void add(std::map<std::string, std::string>& flat, const std::string& key, const Value& value) {
  const auto inside = [&](const std::string& name) { return key.empty() ? name : key + "." + name; };
  if (const auto* table = value.get_if<Value::Table>()) {
    for (const auto& [name, member] : *table) add(flat, inside(name), member);
  } else if (const auto* list = value.get_if<Value::Array>()) {
    for (size_t i = 0; i < list->size(); ++i) add(flat, inside(std::to_string(i)), (*list)[i]);
  } else if (const auto* text = value.get_if<std::string>()) {
    if (!text->empty()) flat[key] = *text;
  } else if (!value.empty()) {
    flat[key] = scalar_text(value);
  }
}

}  // namespace

std::map<std::string, std::string> flat_config(const Value& value) {
  std::map<std::string, std::string> flat;
  add(flat, "", value);
  return flat;
}

}  // namespace antiphon::config
