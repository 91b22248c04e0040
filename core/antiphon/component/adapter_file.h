// What the folder of an adapter holds, in the form of PEFT's files, and what is the same in them for all methods. What
// else their keys say, the methods know (component/peft.h). Source: huggingface/peft, src/peft/utils/save_and_load.py
// (0.21).
#pragma once
#include <ATen/core/Tensor.h>
#include <nlohmann/json.hpp>

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace antiphon {

struct NameMap;
class Module;

inline const std::string kPeftPrefix = "base_model.model.";  // before the path in the Hugging Face model
inline const std::string kPeftPrompt = "prompt_embeddings";  // of virtual tokens, without a prefix
inline const std::string kOursBehind = "#";                  // in a parameter's name: what follows is not in PEFT's key
inline const std::string kPeftBase = ".base_layer";          // behind the name of a changed module: it, unchanged
// Of tokens whose rows of a table are trained, behind the table's name: the adapter, and the rows in it.
inline const std::string kPeftTokenAdapter = ".token_adapter",
                         kPeftTokens = kPeftTokenAdapter + ".trainable_tokens_delta";
// In adapter_config.json.
inline const std::string kPeftBias = "bias";  // which biases of the part are trained, too: none, all, or a method's own
inline const std::string kPeftMethod = "peft_type", kPeftBaseModel = "base_model_name_or_path",
                         kPeftTokenIndices = "trainable_token_indices",  // which these are
    kPeftParameters = "target_parameters";  // changed tensors other than modules' weights, such as those of experts

struct AdapterFile {
  std::string path;  // for messages
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  nlohmann::json config;  // adapter_config.json
};

// Whether a setting is a table of numbers for layers, by patterns of their names: rank_pattern, alpha_pattern of LoRA.
bool is_of_patterns(const std::string& key, const nlohmann::json& value);

// A part that carries an adapter, and how its files name its layers, some of which may be several here and one there
// (weights/stacked.h).
struct StackedPart {
  const NameMap& names;
  Module& part;
};

// A key without the adapter's name: "x.lora_A.default.weight" -> "x.lora_A.weight", "x.ia3_l.default" -> "x.ia3_l".
std::string without_adapter_name(std::string key);
// The modules in which a name lies, the innermost first: "a.b" and "a" of "a.b.c".
std::vector<std::string> modules_of(const std::string& name);
// Whether one of the modules in the key's path, the innermost first, is so. False for keys without PEFT's prefix.
bool any_module_of(const std::string& key, const std::function<bool(const std::string& module)>& is);

}  // namespace antiphon
