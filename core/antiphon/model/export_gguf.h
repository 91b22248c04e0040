// An exported language model as one GGUF file. Used by export.
#pragma once
#include <filesystem>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include <antiphon/base/gguf.h>
#include <antiphon/model/model_spec.h>
#include <antiphon/weights/lazy_tensor.h>

namespace antiphon::model {

// `config` and `tensors`: of the language model's directory. With the tokenizer and the chat template that the
// composition names; llama.cpp needs the first, the second is left out if there is none. Says what was written: "in
// Q8_0". Error(weights, config) for what has no GGUF form (gguf_model.h, gguf_export.h).
std::string write_gguf(const std::filesystem::path& output, const nlohmann::json& config,
                       const weights::LazyTensors& tensors, GgmlType type, const LanguageModelSpec& spec);

}  // namespace antiphon::model
