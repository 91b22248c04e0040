// Puts a checkpoint's tensors into a module.
#pragma once
#include <ATen/core/Tensor.h>

#include <optional>

#include <antiphon/component/module.h>
#include <antiphon/component/name_map.h>
#include <antiphon/weights/checkpoint.h>

namespace antiphon {
struct PretrainedConfig;
}

namespace antiphon::weights {

struct LoadOptions {
  at::Device device = at::kCPU;
  // Types for parameters that training leaves alone and for those that it changes (with a gradient, or as running
  // statistics beside such); nullopt keeps the checkpoint's.
  std::optional<at::ScalarType> frozen_dtype = std::nullopt, trainable_dtype = at::kFloat;
  // For frozen matrices instead of frozen_dtype, if set.
  std::optional<at::ScalarType> matrix_dtype = std::nullopt;
  // Parameters that the checkpoint does not have stay as they are.
  bool partial = false;
  // The name of what is loaded, for messages: "model.llm".
  std::string name = "model";
};

struct LoadReport {
  int64_t applied = 0, total = 0;  // parameters; equal, since anything else is an error
  int64_t ignored = 0;             // checkpoint tensors that the map marks as unused
  uint64_t bytes = 0;              // of the parameters as they are now
};

// Replaces every parameter of the module (on the meta device or not) by the checkpoint's tensor of that name, keeping
// requires_grad. A parameter on the CPU that training leaves alone and whose dtype the file has is a view of the file's
// mapping; others have their own memory. Error(weights), before anything is changed, that lists the missing,
// unexpected, mismatched and doubly given names (20 of each class, and counts) and a prefix that would explain them.
LoadReport load_parameters(Module& module, const Checkpoint& checkpoint, const NameMap& map,
                           const LoadOptions& options = {});

// Moves and casts all parameters of the module as these options say; meta tensors stay meta.
void cast_parameters(Module& module, const LoadOptions& options);

// config.json, preprocessor_config.json and video_preprocessor_config.json of a folder, or what processor_config.json
// has in their place; null if there is none (or no folder).
// Error(weights) with file:line:column if one is malformed.
PretrainedConfig read_pretrained_config(const std::filesystem::path& folder);

}  // namespace antiphon::weights
