// A language model in a GGUF file, as the Hugging Face directory that it was made of: config.json from its metadata,
// and tensors under their names there, in their order of rows. Names and keys: ggml-org/llama.cpp,
// gguf-py/gguf/constants.py and tensor_mapping.py; convert_hf_to_gguf.py for the order of llama's q and k.
#pragma once
#include <filesystem>

#include <nlohmann/json_fwd.hpp>

#include <antiphon/weights/lazy_tensor.h>

namespace antiphon::weights {

// F32, F16 and BF16 as they are, blocks of fewer bits as float32; of Gemma's norms, which llama.cpp keeps with 1 added,
// that is taken off in float32 again. Error(weights) for an architecture other than llama, qwen2, qwen3, phi3, gemma2
// and gemma3, tensors that such a model does not have, and types without a reader.
LazyTensors gguf_tensors(const std::filesystem::path& path);

// What transformers would have in config.json. Error(weights) for keys that are missing or out of bounds, and for
// what a model of transformers of that type does not have: experts, a window of a llama, another rotary scaling than
// linear, Llama 3's and LongRoPE of phi3. What files of Gemma leave to llama.cpp is as there (src/llama-model.cpp,
// load_hparams): which layers have the window, and by what scores are divided.
nlohmann::json gguf_config(const std::filesystem::path& path);

// general.architecture and the count of tensors of each type: "llama, 272 tensors (61 F32, 210 Q4_1, 1 Q8_0)".
std::string gguf_summary(const std::filesystem::path& path);

}  // namespace antiphon::weights
