#include <antiphon/config/path.h>

#include <antiphon/base/strings.h>

#include <charconv>

namespace antiphon::config {
namespace {

const Value* member(const Value& value, const std::string& key) {
  const auto* list = value.get_if<Value::Array>();
  if (!list) return value.find(key);
  size_t index = list->size();
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), index);
  return error == std::errc() && index < list->size() ? &(*list)[index] : nullptr;
}

}  // namespace

const Value* at_path(const Value& root, std::string_view path) {
  const auto* value = &root;
  for (const auto& key : split(path, '.'))
    if (!(value = member(*value, key))) return nullptr;
  return value;
}

Value* at_path(Value& root, std::string_view path) { return const_cast<Value*>(at_path(std::as_const(root), path)); }

std::string text_at(const Value& root, std::string_view path) {
  const auto* value = at_path(root, path);
  const auto* text = value ? value->get_if<std::string>() : nullptr;
  return text ? *text : "";
}

}  // namespace antiphon::config
