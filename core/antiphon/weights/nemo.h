// The speech encoder of NeMo's archives (.nemo), as transformers has it: a tar with model_config.yaml and
// model_weights.ckpt, a file of torch.save() of which nothing is run. Read of models with a FastConformer (Parakeet,
// Canary, and SALM's `perception`); what stands besides it is counted and left. Source: NeMo,
// nemo/core/connectors/save_restore_connector.py; keys and names as in transformers,
// src/transformers/models/parakeet/convert_nemo_to_hf.py.
#pragma once
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include <antiphon/weights/lazy_tensor.h>

namespace antiphon::weights {

// By the name; not whether it can be read.
bool is_nemo(const std::filesystem::path& path);

// What config.json and preprocessor_config.json of the same encoder say, and of SALM `modality_adapter` as it stands
// there. Error(weights) that names the archive and the key: no such archive, no FastConformer in it, or settings that
// are not computed here.
nlohmann::json nemo_config(const std::filesystem::path& path);
nlohmann::json nemo_preprocessor_config(const std::filesystem::path& path);

// The encoder's tensors, "encoder.layers.0.self_attn.q_proj.weight". Of SALM those between it and the language model,
// too: "modality_adapter.layers.…" and "modality_adapter.proj.…", or "proj.…" if the adapter does nothing. How many
// others there are of which module goes to `warnings`.
LazyTensors nemo_tensors(const std::filesystem::path& path, std::vector<std::string>& warnings);

}  // namespace antiphon::weights
