#include "keys.h"

#include <antiphon/component/adapter_file.h>

namespace antiphon::lora {

// Of PEFT's LoraConfig (0.21). How the factors were initialised has no effect, except for the starts that change the
// base weight: PEFT repeats that change when it loads such an adapter. Rank, alpha and scaling are compared with what
// is attached; the sites, and the modules that are trained beside them, are those of the tensors.
ForeignKeys lora_keys(const LoraOptions& options, bool of_tied) {
  using nlohmann::json;
  const char* convert = "convert it in PEFT: save_pretrained(…, path_initial_model_for_weight_conversion=…)";
  ForeignKeys keys{
      .fixed = {{"init_lora_weights", {true, false, "gaussian", "eva", "orthogonal"}, convert},
                {"lora_bias", {false}},
                {"fan_in_fan_out", {false}},
                {kPeftParameters, {json::array()}, "train it on layers, or on experts of a language model"},
                {"layer_replication", {json::array()}},
                {"megatron_config", {}},
                {"alora_invocation_tokens", {}},
                {"use_qalora", {false}},
                {"use_bdlora", {false}},
                {"arrow_config", {}},
                {"velora_config", {}},
                {"kasa_config", {}},
                {"monteclora_config", {}}},
      .other = {"peft_type",
                "r",
                "lora_alpha",
                "use_rslora",
                "use_dora",
                "rank_pattern",
                "alpha_pattern",
                "task_type",
                "auto_mapping",
                "peft_version",
                "base_model_name_or_path",
                "revision",
                "inference_mode",
                "target_modules",
                "exclude_modules",
                "lora_dropout",
                "layers_to_transform",
                "layers_pattern",
                "megatron_core",
                "qalora_group_size",
                "loftq_config",
                "eva_config",
                "corda_config",
                "lora_ga_config",
                "runtime_config"},
      .unknown_refused = true};
  keys.fixed.push_back({kPeftBias, {options.bias}, "set `bias` as it was trained"});
  // Trained so, the embedding's change is the head's; rows of tokens are both's anyway.
  if (of_tied)
    keys.fixed.push_back({"ensure_weight_tying", {false}, "train it without, or merge it into the weights in PEFT"});
  else
    keys.other.emplace_back("ensure_weight_tying");
  const auto tokens = token_indices(options);
  if (tokens.is_null())
    keys.fixed.push_back(
        {kPeftTokenIndices, {json::array(), json::object()}, "name them in `trainable_token_indices`"});
  else
    keys.fixed.push_back({kPeftTokenIndices, {tokens}, "set `trainable_token_indices` as it was trained"});
  if (options.modules_to_save.empty())
    keys.fixed.push_back({"modules_to_save", {json::array()}, "name them in `modules_to_save`"});
  else
    keys.other.emplace_back("modules_to_save");
  return keys;
}

}  // namespace antiphon::lora
