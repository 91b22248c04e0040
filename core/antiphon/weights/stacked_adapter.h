// Adapters on layers that are several here and one in transformers (stacked.h), whose name PEFT's files have. The
// methods know what their files say of such a layer (Peft::stack_layers). Used by adapter.h.
#pragma once
#include <antiphon/component/adapter_file.h>
#include <antiphon/component/peft.h>
#include <antiphon/weights/stacked.h>

namespace antiphon::weights {

// As PEFT has it on the model of transformers. What the method cannot say so is left under the names that it has here,
// with a warning.
AdapterFile stacked_adapter(AdapterFile file, const Peft& method, const StackedPart& stacks);

// The file's tensors as those of what is attached, and its settings, of which those of stacks are taken out.
// Error(weights) as Peft::unstack_layers().
std::shared_ptr<const Checkpoint> unstacked_adapter(const std::shared_ptr<const Checkpoint>& file,
                                                    nlohmann::json& config, Peft& method, const StackedPart& stacks);

}  // namespace antiphon::weights
