// Matrices that a file holds one below the other as one, and the model each for itself: queries, keys and values of
// Phi-3, its gate and up; and those of all experts of a layer, in a tensor with a dimension more.
//
// A name map (component/name_map.h) says so by a rule whose parameter has a list, in the order of the rows, or stands
// for all experts (`*`), or both; with ' at its end the file has [in, out]:
//   {"model.layers.{}.self_attn.qkv_proj.{}", "layers.{}.self_attn.[q_proj,k_proj,v_proj].{}"}
//   {"model.layers.{}.mlp.experts.gate_up_proj", "layers.{}.mlp.experts.*.[gate_proj,up_proj].weight'"}
// Its other rules name the parts, as if a file had them; these are the names of sites for adapters, too.
#pragma once
#include <unordered_map>

#include <antiphon/component/module.h>
#include <antiphon/component/name_map.h>
#include <antiphon/weights/checkpoint.h>

namespace antiphon::weights {

struct Stack {
  std::string name;                // in the file
  std::vector<std::string> parts;  // parameters; of experts with `*` in the place of an expert's number
  bool transposed = false;         // each matrix
  bool is_of_experts() const { return parts.front().find('*') != std::string::npos; }
  // Those of one expert; else the parts.
  std::vector<std::string> parts_of(int64_t expert) const;
};

// The rows of each parameter of a module, by its name.
std::unordered_map<std::string, int64_t> rows_of_parameters(Module& module);
// How many experts a module with these rows has of a stack of them; else 1.
int64_t experts_of(const Stack& stack, const std::unordered_map<std::string, int64_t>& rows);

bool has_stacks(const NameMap& map);
// What a checkpoint's tensor holds; nullopt: it is not a stack.
std::optional<Stack> stack_called(const NameMap& map, const std::string& checkpoint_name);
// Where a parameter is a part of what is written; nullopt: it has a tensor of its own. `in_memory`: or of a tensor of
// experts that files need not have, as the model of transformers does.
std::optional<Stack> stack_with(const NameMap& map, const std::string& parameter, bool in_memory = false);

// The checkpoint with parts in place of stacks, under their names; each is a view of the stack's rows if the file has
// it in memory. As it is if there are no stacks. Error(weights) for a stack with another number of rows, or of experts,
// than the module's parameters have together.
std::shared_ptr<const Checkpoint> unstacked(std::shared_ptr<const Checkpoint> file, const NameMap& map, Module& module);

// The other way round: parts, under their names in a checkpoint, become stacks, each where its first part was, and
// computed part by part when its turn comes. Error(weights) if some parts of a stack are there and others are not.
LazyTensors stacked(LazyTensors tensors, const NameMap& map);

}  // namespace antiphon::weights
