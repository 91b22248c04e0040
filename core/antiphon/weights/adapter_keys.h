// The keys of PEFT's adapter files. Used inside this area.
#pragma once
#include <algorithm>
#include <string>

namespace antiphon::weights {

inline const std::string kPeftPrefix = "base_model.model.", kWeightEnd = ".weight";
inline const std::string kFactorA = ".lora_A.weight", kFactorB = ".lora_B.weight", kLengths = ".lora_magnitude_vector";

inline std::string without_end(const std::string& name, const std::string& end) {
  return name.substr(0, name.size() - end.size());
}

// "x.lora_A.default.weight" -> "x.lora_A.weight", "x.ia3_l.default" -> "x.ia3_l".
inline std::string without_adapter_name(std::string key) {
  constexpr std::string_view name = ".default";
  const auto at = key.rfind(name);
  const bool whole = at != std::string::npos && (at + name.size() == key.size() || key[at + name.size()] == '.');
  return whole ? key.erase(at, name.size()) : key;
}

// "x.q_proj" for "base_model.model.x.q_proj.lora_A.weight"; empty for keys that are not LoRA's.
inline std::string lora_site(const std::string& key) {
  if (!key.starts_with(kPeftPrefix)) return {};
  const auto name = key.substr(kPeftPrefix.size());
  for (const auto& end : {kFactorA, kFactorB, kLengths})
    if (name.ends_with(end)) return without_end(name, end);
  return {};
}

// Whether one of the modules in the key's path, the innermost first, is so.
template <class Is>
bool any_module_of(const std::string& key, const Is& is) {
  if (!key.starts_with(kPeftPrefix)) return false;
  const auto name = key.substr(kPeftPrefix.size());
  for (size_t dot = name.rfind('.'); dot != std::string::npos && dot > 0; dot = name.rfind('.', dot - 1))
    if (is(name.substr(0, dot))) return true;
  return false;
}

// Whether PEFT means the module by this name.
inline bool is_named(const std::string& path, const std::string& name) {
  return path == name || path.ends_with("." + name);
}

}  // namespace antiphon::weights
