// What other programs can use of a trained model.
#pragma once
#include <filesystem>

#include <antiphon/model/model.h>

namespace antiphon::run {

// Adapters in PEFT's format (`adapter` of the language model, `adapter_<stream>_encoder` and the like of other parts,
// each with `_N` behind it if a part has several), connectors/<stream>.safetensors, and head.safetensors if there is a
// head.
void export_parts(model::Model& model, const std::filesystem::path& folder);

}  // namespace antiphon::run
