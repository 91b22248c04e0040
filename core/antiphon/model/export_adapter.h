// What was trained beside a whole model, as one adapter that PEFT loads onto the model that transformers has of it.
// Source: huggingface/peft, src/peft/utils/save_and_load.py, tuners/lora/config.py (0.21).
#pragma once
#include <filesystem>
#include <string>

#include <antiphon/model/multimodal_lm.h>

namespace antiphon::model {

struct AdapterReport {
  size_t tensors = 0, sites = 0;  // written; of LoRA
  size_t modules = 0;             // that are written whole, as modules_to_save has them
  std::string base;               // the directory of the model that it belongs to
};

// Writes LoRA's matrices of all parts and connectors that were trained, under the names of transformers' modules.
// Error(config) with the reason, before anything is written, if the model is not what its language model's directory
// holds, if a language model or an encoder was itself trained, or for methods that one LoRA adapter of PEFT cannot hold
// beside each other. Error(weights): see export_model().
AdapterReport export_adapter(Model& model, const std::filesystem::path& output);

}  // namespace antiphon::model
