// The keys of LoRA in PEFT's files.
#pragma once
#include <antiphon/component/adapter_file.h>

namespace antiphon::lora {

inline const std::string kWeightEnd = ".weight";
inline const std::string kFactorA = ".lora_A.weight", kFactorB = ".lora_B.weight", kLengths = ".lora_magnitude_vector";
inline const std::string kEmbeddingA = ".lora_embedding_A", kEmbeddingB = ".lora_embedding_B";

inline std::string without_end(const std::string& name, const std::string& end) {
  return name.substr(0, name.size() - end.size());
}

// "x.q_proj" for "base_model.model.x.q_proj.lora_A.weight"; empty for keys that are not LoRA's.
inline std::string lora_site(const std::string& key) {
  if (!key.starts_with(kPeftPrefix)) return {};
  const auto name = key.substr(kPeftPrefix.size());
  for (const auto& end : {kFactorA, kFactorB, kLengths, kEmbeddingA, kEmbeddingB})
    if (name.ends_with(end)) return without_end(name, end);
  return {};
}

inline std::string last_of(const std::string& path) { return path.substr(path.rfind('.') + 1); }

}  // namespace antiphon::lora
