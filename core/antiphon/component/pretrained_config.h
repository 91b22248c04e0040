// What a weights directory says about the model in it.
#pragma once
#include <nlohmann/json.hpp>

namespace antiphon {

// The JSON files of a weights directory; null where there is none.
struct PretrainedConfig {
  nlohmann::json config, preprocessor;
  bool empty() const { return config.is_null(); }
};

}  // namespace antiphon
