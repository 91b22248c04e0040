// A composed model as one Hugging Face directory that transformers loads.
#pragma once
#include <filesystem>

#include <antiphon/graph/multimodal_lm.h>

namespace antiphon::graph {

struct ExportReport {
  size_t tensors = 0, changed = 0;  // written; of them, those that differ from their source
};

// model.safetensors, config.json and the files beside them, for a model whose language model comes out of a whole
// model's directory. Parts that were swapped bring their own configuration and tensors; tensors that a part does not
// use (blocks after the feature layer) are copied, so that nothing is missing. Types are those of the source. Adapters
// must be merged. Error(config) where the model is no such, Error(weights) where a part has no configuration to write.
ExportReport export_whole(MultimodalLm& model, const std::filesystem::path& output);

}  // namespace antiphon::graph
