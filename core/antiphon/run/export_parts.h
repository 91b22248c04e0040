// What other programs can use of a trained model.
#pragma once
#include <filesystem>

#include <antiphon/model/multimodal_lm.h>

namespace antiphon::run {

// Adapters in PEFT's format (`adapter`, or `adapter_N` if there are several), and connectors/<stream>.safetensors.
void export_parts(model::MultimodalLm& model, const std::filesystem::path& folder);

}  // namespace antiphon::run
