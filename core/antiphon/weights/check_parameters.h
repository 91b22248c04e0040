// Whether a checkpoint fits a module, from its headers alone.
#pragma once
#include <antiphon/weights/load.h>

namespace antiphon::weights {

// The counts of load_parameters(), or its Error(weights). Changes nothing. `name` is the module's name for messages:
// "model.llm"; `partial`: see LoadOptions.
LoadReport check_parameters(Module& module, const Checkpoint& checkpoint, const NameMap& map, const std::string& name,
                            bool partial = false);

}  // namespace antiphon::weights
