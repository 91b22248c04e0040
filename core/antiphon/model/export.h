// A composed model as Hugging Face directories that transformers loads.
#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <antiphon/base/gguf.h>
#include <antiphon/model/multimodal_lm.h>

namespace antiphon::model {

struct ExportOptions {
  std::optional<at::ScalarType> dtype = {};  // of every tensor; nullopt: each keeps that of its source
  std::optional<GgmlType> gguf = {};         // one GGUF file with matrices of this type instead of a directory
};

struct ExportReport {
  size_t tensors = 0, changed = 0;  // written; of them, those whose values are not their source's
  std::string what;                 // "a llava model", "a llama language model"
  std::string beside;               // what that directory cannot hold and where it lies; empty: nothing
  std::vector<std::string> unsaid;  // of a whole model, see export_unsaid.h
};

// Writes the tensors, config.json and the files beside them. A model that is still what its language model's directory
// holds (LLaVA: the same slots, whatever they are filled with) becomes such a directory; of any other the language
// model is written, with connectors and trained encoders in folders of their own. Adapters are folded in, in float32
// and rounded once. What the model has on the meta device (see load_own()) is copied from its source byte by
// byte; one tensor is in memory at a time. As GGUF the language model is written (export_gguf.h) and, of a LLaVA
// that is still its directory's, the mmproj file beside it (gguf_mmproj.h). Error(config)
// if the language model has no directory to follow, Error(weights) for a part without a configuration to write.
ExportReport export_model(Model& model, const std::filesystem::path& output, const ExportOptions& options = {});

}  // namespace antiphon::model
