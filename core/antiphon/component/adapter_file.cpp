#include <antiphon/component/adapter_file.h>

namespace antiphon {

std::string without_adapter_name(std::string key) {
  constexpr std::string_view name = ".default";
  const auto at = key.rfind(name);
  const bool whole = at != std::string::npos && (at + name.size() == key.size() || key[at + name.size()] == '.');
  return whole ? key.erase(at, name.size()) : key;
}

bool is_of_patterns(const std::string& key, const nlohmann::json& value) {
  return key.ends_with("_pattern") && value.is_object();
}

bool any_module_of(const std::string& key, const std::function<bool(const std::string&)>& is) {
  if (!key.starts_with(kPeftPrefix)) return false;
  const auto name = key.substr(kPeftPrefix.size());
  for (size_t dot = name.rfind('.'); dot != std::string::npos && dot > 0; dot = name.rfind('.', dot - 1))
    if (is(name.substr(0, dot))) return true;
  return false;
}

}  // namespace antiphon
