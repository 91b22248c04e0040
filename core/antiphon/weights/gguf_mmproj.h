// The picture's half of a LLaVA model as llama.cpp takes it beside the language model: an "mmproj" file with a CLIP
// tower and a projector of two layers. Names and keys: ggml-org/llama.cpp, tools/mtmd/clip-impl.h and clip.cpp.
#pragma once
#include <nlohmann/json_fwd.hpp>

#include <antiphon/weights/gguf_write.h>

namespace antiphon::weights {

struct GgufMmproj {
  GgufMetadata metadata;
  std::vector<GgufOutput> tensors;
};

// `config`, `preprocessor` and `tensors` are those of a whole model's directory; names of other parts are left out.
// `type`: F32 stays, all else is F16 for matrices, as llama.cpp's converter has it. Error(weights) for models other
// than "llava" with "clip_vision_model", features of another layer than the last but one, and missing tensors.
GgufMmproj gguf_mmproj(const nlohmann::json& config, const nlohmann::json& preprocessor, const LazyTensors& tensors,
                       GgmlType type);

}  // namespace antiphon::weights
