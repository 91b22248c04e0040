// What LoRA trains of the part itself.
#pragma once
#include <string>
#include <vector>

#include <antiphon/component/peft.h>

#include "options.h"

namespace antiphon::lora {

// What modules_to_save and bias say, of a part whose sites `chosen` are changed. Error(config) if one of them says
// nothing, or if modules_to_save means an embedding that is the head, too.
std::vector<std::string> own_parameters(const LoraOptions& options, const PeftTarget& target,
                                        const std::vector<Site>& chosen);

}  // namespace antiphon::lora
