// Maps the tensor names of a Hugging Face checkpoint to those of our modules, in both directions.
#pragma once
#include <optional>
#include <string>
#include <vector>

namespace antiphon {

// A dotted name pattern; `{}` stands for one or more whole segments or a part of one, the same text on both sides.
// {"encoder.layer.{}.attention.attention.query.{}", "layers.{}.self_attn.q_proj.{}"}
struct NameRule {
  std::string checkpoint, parameter;
  bool read_only = false;  // another spelling of what a rule that does not say so is written as
};

// The first rule that matches wins in either direction, so of several spellings the first is the one written.
struct NameMap {
  std::vector<NameRule> rules;
  // Checkpoint names (globs) that this component does not use, e.g. "model.decoder.*" for an encoder.
  std::vector<std::string> ignored;
  // If the checkpoint is a whole model's (see model_family.h): its names, and what `rules` and `ignored` call them.
  // Names that match none of these belong to other parts, and are not used.
  std::vector<NameRule> whole;

  // The parameter for a checkpoint name; nullopt if no rule matches.
  std::optional<std::string> to_parameter(const std::string& checkpoint_name) const;
  // The checkpoint name for a parameter; nullopt if no rule matches.
  std::optional<std::string> to_checkpoint(const std::string& parameter_name) const;
  bool ignores(const std::string& checkpoint_name) const;
};

}  // namespace antiphon
