// The configuration files of a Hugging Face directory, as a component's options read them.
#pragma once
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>

#include <string>

namespace antiphon {

// The JSON files of a weights directory; null where there is none.
struct PretrainedConfig {
  nlohmann::json config, preprocessor;
  bool empty() const { return config.is_null(); }
};

// Reads json[key] into `target` where it is there and not null. Error(weights) where it has another type.
template <class T>
void take(const nlohmann::json& json, const char* key, T& target) {
  const auto it = json.find(key);
  if (it == json.end() || it->is_null()) return;
  try {
    it->get_to(target);
  } catch (const nlohmann::json::exception&) {
    fail(ErrorKind::weights, std::string("key '") + key + "' has an unexpected value: " + it->dump(),
         "compare the file with the model's original");
  }
}

// Error(weights) unless config.json's model_type is `expected`.
void expect_model_type(const PretrainedConfig& pretrained, const std::string& plugin, const std::string& expected);

}  // namespace antiphon
