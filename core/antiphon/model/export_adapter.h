// What was trained beside a whole model, as one adapter that PEFT loads onto the model that transformers has of it.
// Source: huggingface/peft, src/peft/utils/save_and_load.py, tuners/lora/config.py (0.21).
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include <antiphon/model/multimodal_lm.h>

namespace antiphon::model {

struct AdapterReport {
  size_t tensors = 0, sites = 0;    // written; of LoRA
  size_t modules = 0;               // that are written whole, as modules_to_save has them
  std::string base;                 // the directory of the model that it belongs to
  std::vector<std::string> unsaid;  // see export_unsaid.h
};

// Writes LoRA's matrices of all parts, and connectors whose values are not the directory's, under the names of
// transformers' modules. Error(config) with the reason, before anything is written, if the model is not what its
// language model's directory holds, if the values of a language model or an encoder are not, or for what one LoRA
// adapter of PEFT cannot hold: other methods, parts of larger tensors, modules that are trained and have LoRA.
// Error(weights): see export_model().
AdapterReport export_adapter(Model& model, const std::filesystem::path& output);

}  // namespace antiphon::model
