// A language model of transformers as the content of a GGUF file: the other direction of gguf_checkpoint.h.
#pragma once
#include <nlohmann/json_fwd.hpp>

#include <antiphon/weights/gguf_write.h>

namespace antiphon::weights {

struct GgufModel {
  GgufMetadata metadata;  // general.* and the architecture's; without the tokenizer
  std::vector<GgufOutput> tensors;
  int64_t vocabulary = 0;  // rows of the embedding
  size_t kept = 0;         // matrices in F16 whose rows are not whole blocks of `type`
};

// `config` and `tensors` are a directory's; matrices become `type`, the rest is F32. Error(weights) for models of other
// types than gguf_checkpoint.h reads, tensors without a name in GGUF, rotary scalings other than linear, Llama 3's and
// phi3's LongRoPE, and a Gemma that is not as its files are taken to be.
GgufModel gguf_model(const nlohmann::json& config, const LazyTensors& tensors, GgmlType type, const std::string& name);

}  // namespace antiphon::weights
