#include <antiphon/component/adapter_file.h>

#include <algorithm>

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

std::vector<std::string> modules_of(const std::string& name) {
  std::vector<std::string> modules;
  for (size_t dot = name.rfind('.'); dot != std::string::npos && dot > 0; dot = name.rfind('.', dot - 1))
    modules.push_back(name.substr(0, dot));
  return modules;
}

bool any_module_of(const std::string& key, const std::function<bool(const std::string&)>& is) {
  return key.starts_with(kPeftPrefix) && std::ranges::any_of(modules_of(key.substr(kPeftPrefix.size())), is);
}

}  // namespace antiphon
